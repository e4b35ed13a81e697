//! A way to a server that can be bad: cut, so that every connection through it breaks at once, slow, or silent.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::roster::{Place, Site};

pub struct Proxy {
    address: SocketAddr,
    leads_to: Arc<AtomicU16>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    way: Arc<Way>,
}

/// How bytes get through.
#[derive(Default)]
struct Way {
    /// For each connection and direction; 0: as fast as they come.
    bytes_per_second: AtomicUsize,
    /// True for connections that are open: nothing gets through any more, and neither end hears of the other's. Others get one of their own.
    silent: Mutex<Arc<AtomicBool>>,
}

impl Proxy {
    /// In front of the server at `port` of this machine.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let open = connections.clone();
        let leads_to = Arc::new(AtomicU16::new(port));
        let to = leads_to.clone();
        let way: Arc<Way> = Arc::default();
        let through = way.clone();
        // Ends with the test's process; it holds a port and nothing else.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to.load(Ordering::Relaxed))) else { continue };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
                open.lock().expect("nobody panics here").extend([clone(&near), clone(&far)]);
                let (near_to, far_to) = (clone(&near), clone(&far));
                let silent = through.silent.lock().expect("nobody panics here").clone();
                for (from, to) in [(near, far_to), (far, near_to)] {
                    let (way, silent) = (through.clone(), silent.clone());
                    std::thread::spawn(move || forward(from, to, &way, &silent));
                }
            }
        });
        Proxy { address, leads_to, connections, way }
    }

    /// The daemon goes through it to the site from now on; the applications don't.
    pub fn before(site: &mut Site) -> Proxy {
        let Place::Server { port, .. } = site.place else { panic!("{} has no server", site.name) };
        let proxy = Proxy::to(port);
        site.url = Some(site.url().replace(&format!(":{port}/"), &format!(":{}/", proxy.port())));
        proxy
    }

    /// For each connection and direction; 0: as fast as they come.
    pub fn slow_down(&self, bytes_per_second: usize) {
        self.way.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Connections that are open go silent: what is sent is taken and goes nowhere, and neither end is told that the other has closed. New ones
    /// are as good as ever.
    pub fn go_silent(&self) {
        let mut silent = self.way.silent.lock().expect("nobody panics here");
        std::mem::take(&mut *silent).store(true, Ordering::Relaxed);
        self.connections.lock().expect("nobody panics here").clear();
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it is in front of another server.
    pub fn lead_to(&self, port: u16) {
        self.leads_to.store(port, Ordering::Relaxed);
        self.cut();
    }

    /// Breaks every connection; gives how many there were.
    pub fn cut(&self) -> usize {
        let open: Vec<TcpStream> = self.connections.lock().expect("nobody panics here").drain(..).collect();
        open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count() / 2
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, way: &Way, silent: &AtomicBool) {
    let mut bytes = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !silent.load(Ordering::Relaxed) && write_slowly(&mut to, &bytes[..count], way).is_err() {
            break;
        }
    }
    if silent.load(Ordering::Relaxed) {
        // The other end is left in the belief that it has a connection, as long as the test's process lives.
        std::mem::forget(to);
        return;
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

const STEP: Duration = Duration::from_millis(20);

fn write_slowly(to: &mut TcpStream, mut bytes: &[u8], way: &Way) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let rate = way.bytes_per_second.load(Ordering::Relaxed);
        let count = if rate == 0 { bytes.len() } else { (rate / 50).clamp(1, bytes.len()) };
        to.write_all(&bytes[..count])?;
        bytes = &bytes[count..];
        if rate > 0 {
            std::thread::sleep(STEP);
        }
    }
    Ok(())
}
