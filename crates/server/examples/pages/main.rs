//! Writes every page that a person can be shown, in every variant, into a folder: for eyes, for
//! screenshots, for the browser test.
//!
//! `cargo run -p vestibule-server --example pages -- FOLDER`
//!
//! Not here: the headers around a page (`surface`), real requests (the tests).

mod variants;

use std::{error::Error, fs, path::PathBuf};

use http_body_util::BodyExt as _;
use vestibule_protocol::issuer::Issuer;
use vestibule_server::{HttpSettings, respond};

const STYLE: &str = include_str!("../../templates/style.css");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: pages FOLDER")?;
    fs::create_dir_all(folder.join("assets"))?;
    let issuer = Issuer::parse("https://hub.example").map_err(|_| "the issuer is none")?;
    let settings = HttpSettings::new(&issuer, Vec::new());
    for (name, step) in variants::all() {
        let body = respond(&settings, step.into()).into_body();
        let page = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        let style = page
            .split("href=\"/assets/")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .ok_or("a page without a style sheet")?;
        fs::write(folder.join("assets").join(style), STYLE)?;
        fs::write(folder.join(format!("{name}.html")), page)?;
        println!("{name}");
    }
    Ok(())
}
