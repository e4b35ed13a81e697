//! Where the daemon tells what it does over HTTP, and who may ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::Spanned;

use super::error::{Fault, Report};
use super::raw::RawDaemon;
use super::secret::{self, Env, Secret};

const PLACE: &str = "[daemon]";
const ADDRESS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9477);
/// A shorter token can be guessed.
const TOKEN_CHARS_MIN: usize = 16;
const MAKE_TOKEN: &str = "make one: (umask 077; openssl rand -hex 32 > listen.token), and set listen_token_file = \"listen.token\"";

/// An address of this machine, and what whoever asks there has to show. Without a token it is a loopback address.
#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub token: Option<Secret>,
    /// The host's name in requests that come through a proxy.
    pub name: Option<String>,
}

/// None: nothing is told. Takes what it reads out of `raw`.
pub(super) fn listen(raw: &mut RawDaemon, report: &mut Report<'_>, env: Env<'_>) -> Option<Listen> {
    let folder = report.folder.to_path_buf();
    let token_is_named = raw.listen_token_file.is_some();
    let token = raw.listen_token_file.take().and_then(|file| report.check(file.span(), PLACE, token(&file, &folder, env)));
    let name = raw.listen_name.take().and_then(|name| report.check(name.span(), PLACE, host_name(name.get_ref())));
    let address = match raw.listen.take() {
        None => ADDRESS_DEFAULT,
        Some(text) if text.get_ref().is_empty() => return None,
        Some(text) => {
            let address = report.check(text.span(), PLACE, address(text.get_ref()))?;
            if !address.ip().is_loopback() && !token_is_named {
                let cause =
                    format!("listen = \"{}\" can be reached from other hosts, and nobody would be asked for a token", text.get_ref());
                report.add(
                    Some(text.span()),
                    PLACE,
                    Fault::new(cause, format!("{MAKE_TOKEN}; or use a loopback address such as 127.0.0.1:9477")),
                );
            }
            address
        }
    };
    Some(Listen { address, token, name })
}

fn address(text: &str) -> Result<SocketAddr, Fault> {
    let advice = "write an IP address and a port, as in 127.0.0.1:9477 or [::1]:9477; \"\" turns it off";
    text.parse().map_err(|_| Fault::new(format!("listen = \"{text}\" is not an address"), advice))
}

fn token(file: &Spanned<String>, folder: &Path, env: Env<'_>) -> Result<Secret, Fault> {
    let token = secret::from_file(file.get_ref(), folder, env)?;
    let printable = token.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    if token.reveal().len() < TOKEN_CHARS_MIN || !printable {
        let cause = format!("the token in {} is not {TOKEN_CHARS_MIN} or more letters, digits and signs without blanks", file.get_ref());
        return Err(Fault::new(cause, MAKE_TOKEN));
    }
    Ok(token)
}

fn host_name(text: &str) -> Result<String, Fault> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if !is_name {
        let cause = format!("listen_name = \"{text}\" is not a host's name");
        return Err(Fault::new(
            cause,
            "write what stands in the browser's address between https:// and the next / or :, such as roster.example.net",
        ));
    }
    Ok(text.to_ascii_lowercase())
}
