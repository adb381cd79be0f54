//! Not one packet to a refused address: what a name may lead to, seen at the dialler.

use vestibule_fetch::{FetchError, FetchSettings, Purpose};

use crate::support::{
    ADDRESS, Authority, Host, NAME, Names, Wire, Wires, World, ok, server_config, settings, world,
};

/// One or more of every range of `threats.md` section 4, and every transition form.
const REFUSED: [&str; 62] = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::7f00:1",
    "::808:808",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:a9fe:a9fe::f7f7:f7f7",
    "2001:0:808:808::5601:5601",
    "2001:2::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::",
    "2002:808:808::",
    "2620:4f:8000::1",
    "2606:4700::5efe:a00:1",
    "2606:4700::200:5efe:7f00:1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];

fn lone_world(names: Names) -> World {
    World::new(FetchSettings::default(), names, Wires::default())
}

/// CIMD-81, F1, F2, F5, F6, F17: a name that leads inward is refused before anything is dialled.
#[tokio::test]
async fn no_packet_goes_to_a_refused_address() {
    for address in REFUSED {
        let world = lone_world(Names::new(&[&[address]]));
        assert_eq!(
            world.get().await,
            Err(FetchError::AddressRefused),
            "{address}"
        );
        assert!(world.wires.dialled().is_empty(), "{address}");
    }
}

/// CIMD-81, F4: one bad address spoils the answer, first or last, whatever else is in it.
#[tokio::test]
async fn no_packet_goes_to_any_address_of_a_mixed_answer() {
    for address in REFUSED {
        for answer in [
            ["93.184.216.34", address],
            [address, "93.184.216.34"],
            ["2606:4700::1111", address],
        ] {
            let world = lone_world(Names::new(&[&answer]));
            assert_eq!(
                world.get().await,
                Err(FetchError::AddressRefused),
                "{answer:?}"
            );
            assert!(world.wires.dialled().is_empty(), "{answer:?}");
        }
    }
}

/// F4: also behind more addresses than are ever tried.
#[tokio::test]
async fn the_last_of_many_addresses_is_judged() {
    let mut answer = vec!["93.184.216.34"; 40];
    answer.push("10.0.0.1");
    let world = lone_world(Names::new(&[&answer]));
    assert_eq!(world.get().await, Err(FetchError::AddressRefused));
    assert!(world.wires.dialled().is_empty());
}

/// F3, CIMD-81: one look-up per fetch, so a second answer has nothing to change; the next fetch
/// judges it anew.
#[tokio::test]
async fn a_rebinding_name_is_dialled_where_it_was_judged() {
    let authority = Authority::new();
    let identity = authority.issue(&[NAME], (2020, 2100));
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), ok("{}")).await;
    let inside = "127.0.0.1:443";
    let world = World::new(
        settings(&authority),
        Names::new(&[&["93.184.216.34"], &["127.0.0.1"]]),
        Wires::new(&[
            (ADDRESS, Wire::To(host.address)),
            (inside, Wire::To(host.address)),
        ]),
    );
    assert_eq!(world.get().await.unwrap().status, 200);
    assert_eq!(world.names.asked.lock().unwrap().as_slice(), [NAME]);
    assert_eq!(world.wires.dialled(), [ADDRESS]);

    assert_eq!(world.get().await, Err(FetchError::AddressRefused));
    assert_eq!(world.wires.dialled(), [ADDRESS]);
    assert_eq!(host.requests().len(), 1);
}

/// F3: a connection that ends at somebody else carries nothing.
#[tokio::test]
async fn a_connection_to_somebody_else_is_not_used() {
    let (_, host) = world(ok("{}")).await;
    let world = World::new(
        FetchSettings::default(),
        Names::new(&[&["93.184.216.34"]]),
        Wires::new(&[(ADDRESS, Wire::Elsewhere(host.address))]),
    );
    assert_eq!(world.get().await, Err(FetchError::AddressRefused));
    assert!(host.requests().is_empty());
}

/// F4: public addresses are tried in their order, each once.
#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let authority = Authority::new();
    let identity = authority.issue(&[NAME], (2020, 2100));
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), ok("{}")).await;
    let answer = [
        "93.184.216.1",
        "2606:4700::1111",
        "93.184.216.34",
        "93.184.216.35",
    ];
    let world = World::new(
        settings(&authority),
        Names::new(&[&answer]),
        Wires::new(&[(ADDRESS, Wire::To(host.address))]),
    );
    assert_eq!(world.get().await.unwrap().status, 200);
    let dialled = ["93.184.216.1:443", "[2606:4700::1111]:443", ADDRESS];
    assert_eq!(world.wires.dialled(), dialled);
}

/// Nobody answers anywhere; and the number of attempts has an end.
#[tokio::test]
async fn a_dead_host_is_a_failed_connection() {
    let answer = ["93.184.216.34"; 40];
    let world = lone_world(Names::new(&[&answer]));
    assert_eq!(world.get().await, Err(FetchError::ConnectFailed));
    assert_eq!(world.wires.dialled().len(), 6);
}

/// F15: "leads nowhere" and an empty answer; the caller folds both with "leads inward".
#[tokio::test]
async fn a_name_without_an_address_is_not_resolved() {
    for answers in [&[] as &[&[&str]], &[&[]]] {
        let world = lone_world(Names::new(answers));
        assert_eq!(world.get().await, Err(FetchError::NameNotResolved));
        assert!(world.wires.dialled().is_empty());
    }
}

/// F14: the port of the URL is the port that is dialled.
#[tokio::test]
async fn the_port_of_the_url_is_dialled() {
    let world = lone_world(Names::new(&[&["93.184.216.34"]]));
    let url = "https://client.example:8443/agent.json";
    let failed = world.get_url(url, Purpose::Document).await;
    assert_eq!(failed, Err(FetchError::ConnectFailed));
    assert_eq!(world.wires.dialled(), ["93.184.216.34:8443"]);
}
