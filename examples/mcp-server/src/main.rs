//! Runs the example on an address.

use clap::Parser;

/// A protected MCP server with the tools `whoami` (needs `mcp:read`) and `write_note` (needs
/// `mcp:write`)
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9401")]
    listen: String,
    /// The hub, byte for byte as it calls itself
    #[arg(long, default_value = "http://127.0.0.1:9400")]
    issuer: String,
    /// This server as its clients spell it; `http://LISTEN/mcp` by default
    #[arg(long)]
    resource: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let resource = options
        .resource
        .unwrap_or_else(|| format!("http://{}/mcp", options.listen));
    let app = vestibule_example_mcp_server::router(&options.issuer, &resource)?;
    let listener = tokio::net::TcpListener::bind(&options.listen).await?;
    println!("MCP server on {resource}, protected by {}", options.issuer);
    axum::serve(listener, app).await?;
    Ok(())
}
