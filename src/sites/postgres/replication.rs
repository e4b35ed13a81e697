//! A small client for streaming replication, which tokio-postgres does not have: start-up with authentication, simple
//! queries, and the copy-both stream, on `postgres-protocol`.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::connect::{APPLICATION, Connector, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES, Place, SETTINGS};
use super::errors::{Fault, tls_refused};
use super::pgoutput::{EPOCH_2000_US, Lsn};
use crate::sites::{Cause, Error, Result, tls};

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

const READ_BYTES: usize = 256 * 1024;
/// A row has a gigabyte at most; as text in one message twice that.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// A session in replication mode, before or in the stream.
pub(super) struct Replication {
    site: String,
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
}

/// A row of a simple query's result.
pub(super) type TextRow = Vec<Option<String>>;

/// One message in the stream.
pub(super) enum Frame {
    /// A message of the output plugin.
    Data(Bytes),
    /// Everything that committed before `sent` has been sent.
    Keepalive { sent: Lsn, reply: bool },
}

impl Replication {
    /// A session over a connection that is open already.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn over(site: &str, stream: Box<dyn Stream>) -> Replication {
        Replication { site: site.into(), stream, input: BytesMut::new(), output: BytesMut::new() }
    }

    pub async fn connect(connector: &Connector) -> Result<Replication> {
        let doing = format!("connecting to {} for replication", connector.place());
        connector.within(&doing, Replication::open(connector, &doing)).await
    }

    async fn open(connector: &Connector, doing: &str) -> Result<Replication> {
        let stream = socket(connector, doing).await?;
        let stream = encrypted(connector, doing, stream).await?;
        let (input, output) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
        let mut session = Replication { site: connector.site.clone(), stream, input, output };
        let server = &connector.server;
        let mut parameters = vec![
            ("user", server.user.as_str()),
            ("database", &server.database),
            ("replication", "database"),
            ("application_name", APPLICATION),
            ("client_encoding", "UTF8"),
        ];
        parameters.extend(SETTINGS);
        frontend::startup_message(parameters, &mut session.output).map_err(|error| session.broken(doing, error))?;
        session.flush(doing).await?;
        session.authenticate(connector, doing).await?;
        Ok(session)
    }

    async fn authenticate(&mut self, connector: &Connector, doing: &str) -> Result<()> {
        let user = connector.server.user.as_bytes();
        let password = connector.server.password.as_ref().map(|secret| secret.reveal().as_bytes());
        let needed = || {
            Error::new(Cause::Credentials, &connector.site, format!("{doing}: the server asks for a password, and none is configured"))
                .advice("set password_file or password_env")
        };
        let mut scram: Option<ScramSha256> = None;
        loop {
            let (tag, mut body) = self.message(doing).await?;
            match tag {
                b'R' if body.len() >= 4 => match body.get_i32() {
                    0 => {}
                    3 => self.password(password.ok_or_else(needed)?),
                    5 if body.len() == 4 => {
                        let salt = [body[0], body[1], body[2], body[3]];
                        self.password(md5_hash(user, password.ok_or_else(needed)?, salt).as_bytes());
                    }
                    10 if body.split(|b| *b == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) => {
                        let exchange = ScramSha256::new(password.ok_or_else(needed)?, ChannelBinding::unsupported());
                        frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut self.output)
                            .map_err(|error| self.broken(doing, error))?;
                        scram = Some(exchange);
                    }
                    11 => {
                        let exchange = scram.as_mut().ok_or_else(|| self.unexpected(doing, "R"))?;
                        exchange.update(&body).map_err(|error| self.broken(doing, error))?;
                        frontend::sasl_response(exchange.message(), &mut self.output).map_err(|error| self.broken(doing, error))?;
                    }
                    12 => {
                        let exchange = scram.as_mut().ok_or_else(|| self.unexpected(doing, "R"))?;
                        exchange.finish(&body).map_err(|error| self.broken(doing, error))?;
                    }
                    method => {
                        let text = format!("{doing}: the server wants an authentication method that rosterd does not have (code {method})");
                        return Err(Error::new(Cause::Credentials, &self.site, text).advice("use scram-sha-256 in pg_hba.conf"));
                    }
                },
                b'Z' => return Ok(()),
                b'S' | b'K' | b'N' => {}
                _ => return Err(self.unexpected(doing, &(tag as char).to_string())),
            }
            self.flush(doing).await?;
        }
    }

    fn password(&mut self, password: &[u8]) {
        // Fails only on a zero byte; the server then refuses the empty answer.
        if frontend::password_message(password, &mut self.output).is_err() {
            self.output.clear();
        }
    }

    /// The rows of one statement.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<TextRow>> {
        let doing = sql.split(' ').next().unwrap_or(sql).to_owned();
        frontend::query(sql, &mut self.output).map_err(|error| self.broken(&doing, error))?;
        self.flush(&doing).await?;
        let mut rows = Vec::new();
        loop {
            let (tag, body) = self.message(&doing).await?;
            match tag {
                b'D' => rows.push(text_row(body).ok_or_else(|| self.unexpected(&doing, "D"))?),
                b'Z' => return Ok(rows),
                b'T' | b'C' | b'N' | b'S' | b'I' => {}
                _ => return Err(self.unexpected(&doing, &(tag as char).to_string())),
            }
        }
    }

    /// Begins the stream; afterwards only `read_frames` and `status` are of use.
    pub async fn start(&mut self, slot: &str, from: Lsn, publication: &str) -> Result<()> {
        let doing = format!("reading slot {slot}");
        let sql = format!("START_REPLICATION SLOT {slot} LOGICAL {from} (proto_version '1', publication_names '{publication}')");
        frontend::query(&sql, &mut self.output).map_err(|error| self.broken(&doing, error))?;
        self.flush(&doing).await?;
        loop {
            match self.message(&doing).await?.0 {
                b'W' => return Ok(()),
                b'N' | b'S' => {}
                tag => return Err(self.unexpected(&doing, &(tag as char).to_string())),
            }
        }
    }

    /// Waits for bytes and gives every whole message in them. Cancel-safe.
    pub async fn read_frames(&mut self) -> Result<Vec<Frame>> {
        const DOING: &str = "reading the log";
        loop {
            let mut frames = Vec::new();
            while let Some((tag, body)) = self.whole_message(DOING)? {
                match tag {
                    b'd' => frames.push(frame(body).ok_or_else(|| self.unexpected(DOING, "d"))?),
                    b'E' => return Err(Fault::parse(&body).error(&self.site, DOING)),
                    b'c' | b'C' => return Err(self.ended(DOING)),
                    b'N' | b'S' => {}
                    _ => return Err(self.unexpected(DOING, &(tag as char).to_string())),
                }
            }
            if !frames.is_empty() {
                return Ok(frames);
            }
            self.fill(DOING).await?;
        }
    }

    /// Tells the server up to where its log has been taken over durably. What is written of it and not flushed counts
    /// as nothing: the server sends keepalives, and so tells how far it is, while we seem to be behind. `ask`: for an
    /// answer at once.
    pub async fn status(&mut self, flushed: Lsn, ask: bool) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64) - EPOCH_2000_US;
        let mut body = BytesMut::with_capacity(34);
        body.put_u8(b'r');
        for _ in 0..3 {
            body.put_u64(flushed.0);
        }
        body.put_i64(now);
        body.put_u8(u8::from(ask));
        if let Ok(data) = frontend::CopyData::new(body) {
            data.write(&mut self.output);
        }
        self.flush("acknowledging the log").await
    }

    /// Bytes of a message that has not come whole yet.
    pub fn come(&self) -> usize {
        self.input.len()
    }

    async fn flush(&mut self, doing: &str) -> Result<()> {
        while self.output.has_remaining() {
            match self.stream.write_buf(&mut self.output).await {
                Ok(0) => return Err(self.ended(doing)),
                Ok(_) => {}
                Err(error) => return Err(self.broken(doing, error)),
            }
        }
        self.stream.flush().await.map_err(|error| self.broken(doing, error))
    }

    async fn fill(&mut self, doing: &str) -> Result<()> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(self.ended(doing)),
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(doing, error)),
        }
    }

    /// The next message; an error that the server reports is an error.
    async fn message(&mut self, doing: &str) -> Result<(u8, Bytes)> {
        loop {
            match self.whole_message(doing)? {
                Some((b'E', body)) => return Err(Fault::parse(&body).error(&self.site, doing)),
                Some(message) => return Ok(message),
                None => self.fill(doing).await?,
            }
        }
    }

    fn whole_message(&mut self, doing: &str) -> Result<Option<(u8, Bytes)>> {
        let Some(head) = self.input.get(..5) else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(self.unexpected(doing, "length"));
        }
        if self.input.len() <= length {
            // As much again as has come: a length alone takes no memory.
            self.input.reserve((length + 1 - self.input.len()).min(self.input.len().max(READ_BYTES)));
            return Ok(None);
        }
        let mut message = self.input.split_to(length + 1).freeze();
        let tag = message[0];
        message.advance(5);
        Ok(Some((tag, message)))
    }

    fn broken(&self, doing: &str, error: std::io::Error) -> Error {
        match tls::error_within(&error) {
            Some(tls) => tls_refused(&self.site, doing, tls),
            None => Error::new(Cause::Disconnected, &self.site, format!("{doing}: {error}")),
        }
    }

    fn ended(&self, doing: &str) -> Error {
        Error::new(Cause::Disconnected, &self.site, format!("{doing}: the server closed the connection"))
    }

    fn unexpected(&self, doing: &str, what: &str) -> Error {
        Error::new(Cause::Protocol, &self.site, format!("{doing}: the server sent an unexpected message ({what})"))
    }
}

fn frame(mut body: Bytes) -> Option<Frame> {
    let tag = body.first().copied()?;
    body.advance(1);
    match tag {
        b'w' if body.len() >= 24 => {
            body.advance(24);
            Some(Frame::Data(body))
        }
        b'k' if body.len() == 17 => {
            let sent = Lsn(body.get_u64());
            body.advance(8);
            Some(Frame::Keepalive { sent, reply: body[0] != 0 })
        }
        _ => None,
    }
}

fn text_row(mut body: Bytes) -> Option<TextRow> {
    let count = body.try_get_u16().ok()?;
    (0..count)
        .map(|_| match usize::try_from(body.try_get_i32().ok()?) {
            Err(_) => Some(None),
            Ok(length) if length <= body.len() => Some(Some(String::from_utf8_lossy(&body.split_to(length)).into_owned())),
            Ok(_) => None,
        })
        .collect()
}

async fn socket(connector: &Connector, doing: &str) -> Result<Box<dyn Stream>> {
    let refused = |error| Error::new(Cause::Unreachable, &connector.site, format!("{doing}: {error}"));
    match connector.place() {
        Place::Unix(folder, port) => Ok(Box::new(UnixStream::connect(Place::socket_file(&folder, port)).await.map_err(refused)?)),
        Place::Tcp(name, port) => {
            let stream = TcpStream::connect((name.as_str(), port)).await.map_err(refused)?;
            stream.set_nodelay(true).map_err(refused)?;
            keep_alive(&stream).map_err(refused)?;
            Ok(Box::new(stream))
        }
    }
}

/// So that a server that is gone without a word is noticed.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let settings = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        #[cfg(target_os = "linux")]
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, KEEPALIVE_IDLE.as_secs() as libc::c_int),
        #[cfg(target_os = "linux")]
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, KEEPALIVE_INTERVAL.as_secs() as libc::c_int),
        #[cfg(target_os = "linux")]
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, KEEPALIVE_RETRIES as libc::c_int),
    ];
    for (level, name, value) in settings {
        let value: libc::c_int = value;
        // SAFETY: the descriptor is open as long as `stream` lives, and the option is an int.
        let result = unsafe {
            libc::setsockopt(stream.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
        };
        if result != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

async fn encrypted(connector: &Connector, doing: &str, mut stream: Box<dyn Stream>) -> Result<Box<dyn Stream>> {
    let Some(config) = tls::client_config(&connector.site, &connector.tls)? else { return Ok(stream) };
    let site = &connector.site;
    let broken = |error: std::io::Error| match tls::error_within(&error) {
        Some(tls) => tls_refused(site, doing, tls),
        None => Error::new(Cause::Disconnected, site, format!("{doing}: {error}")),
    };
    let Place::Tcp(name, _) = connector.place() else {
        return Err(Error::new(Cause::Tls, site, "TLS is not spoken over a socket").advice("set tls = \"off\" for this site"));
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(broken)?;
    if stream.read_u8().await.map_err(broken)? != b'S' {
        return Err(Error::new(Cause::Tls, site, format!("{doing}: the server does not offer TLS"))
            .advice("turn ssl on at the server, or set tls = \"off\" where the network is trusted"));
    }
    let name = ServerName::try_from(name.clone())
        .map_err(|_| Error::new(Cause::Tls, site, format!("{name} is not a name that TLS can verify")))?;
    Ok(Box::new(TlsConnector::from(config).connect(name, stream).await.map_err(broken)?))
}
