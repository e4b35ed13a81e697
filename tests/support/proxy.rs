//! A way to a server that can be cut: every connection through it breaks at once.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

pub struct Proxy {
    address: SocketAddr,
    leads_to: Arc<AtomicU16>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
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
        // Ends with the test's process; it holds a port and nothing else.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to.load(Ordering::Relaxed))) else { continue };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
                open.lock().expect("nobody panics here").extend([clone(&near), clone(&far)]);
                let (near_to, far_to) = (clone(&near), clone(&far));
                std::thread::spawn(move || forward(near, far_to));
                std::thread::spawn(move || forward(far, near_to));
            }
        });
        Proxy { address, leads_to, connections }
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

fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
