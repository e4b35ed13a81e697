//! A terminal that is refreshed in place until somebody presses q.

use std::io::{IsTerminal, Read};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::print;

/// The alternate screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const ROWS_PLAIN: u16 = 24;

pub struct Screen {
    /// How the keyboard was set up before; None: there is none.
    before: Option<libc::termios>,
    keys: mpsc::UnboundedReceiver<u8>,
}

impl Screen {
    /// None where the output is no terminal.
    pub fn open() -> Option<Screen> {
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let before = std::io::stdin().is_terminal().then(keys_at_once).flatten();
        let (pressed, keys) = mpsc::unbounded_channel();
        if before.is_some() {
            // It waits for a key when the process ends, and ends with it.
            std::thread::spawn(move || {
                let keys = std::io::stdin().lock().bytes();
                keys.map_while(Result::ok).take_while(|key| pressed.send(*key).is_ok()).for_each(drop);
            });
        }
        print::out(ENTER);
        Some(Screen { before, keys })
    }

    /// Shows a page in the place of the last one; what does not fit below is left out.
    pub fn show(&self, text: &str) {
        let rows = usize::from(rows());
        let all: Vec<&str> = text.lines().collect();
        let mut page = String::from("\x1b[H");
        let shown = if all.len() > rows { &all[..rows.saturating_sub(1)] } else { &all[..] };
        shown.iter().for_each(|line| page += &format!("{line}\x1b[K\n"));
        match all.len() - shown.len() {
            0 => page.truncate(page.len() - usize::from(!shown.is_empty())),
            more => page += &format!("{more} more lines; q ends"),
        }
        print::out(&(page + "\x1b[J"));
    }

    /// Resolves when somebody wants it to end: q, Ctrl-C, or SIGTERM.
    pub async fn left(&mut self) {
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
        let heard = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                () = heard(&mut interrupted) => return,
                () = heard(&mut terminated) => return,
                key = self.keys.recv(), if !self.keys.is_closed() => {
                    if matches!(key, Some(b'q' | b'Q' | 3 | 4)) {
                        return;
                    }
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print::out(LEAVE);
        if let Some(before) = &self.before {
            // SAFETY: standard input is open, and the settings are those that it had.
            unsafe { libc::tcsetattr(0, libc::TCSANOW, before) };
        }
    }
}

/// Keys come one by one and are not shown; gives the settings before.
fn keys_at_once() -> Option<libc::termios> {
    let mut before = std::mem::MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: standard input is a terminal, and the structure is ours and of the type that the call fills.
    let before = unsafe { (libc::tcgetattr(0, before.as_mut_ptr()) == 0).then(|| before.assume_init()) }?;
    let mut now = before;
    now.c_lflag &= !(libc::ICANON | libc::ECHO);
    // SAFETY: as above.
    (unsafe { libc::tcsetattr(0, libc::TCSANOW, &raw const now) } == 0).then_some(before)
}

fn rows() -> u16 {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure is ours and of the type that the call fills.
    let told = unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &raw mut size) == 0 };
    if told && size.ws_row > 0 { size.ws_row } else { ROWS_PLAIN }
}
