//! A terminal that a test looks at and types on, of any size.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::{POLL, Process};

/// Most bytes that are read at once.
const READ_BYTES: usize = 65_536;

pub struct PseudoTerminal {
    /// The side of the terminal itself. Its reads do not wait.
    controller: Arc<File>,
    /// The side of its processes.
    user: OwnedFd,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl PseudoTerminal {
    pub fn open(columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags).expect("a terminal");
        unlockpt(&controller).expect("it can be used");
        let user = ioctl_tiocgptpeer(&controller, flags).expect("its other side");
        fcntl_setfl(&controller, OFlags::RDWR | OFlags::NONBLOCK).expect("reads that do not wait");
        let parser = Arc::new(Mutex::new(vt100::Parser::new(of(rows), of(columns), 0)));
        let terminal = Self { controller: Arc::new(File::from(controller)), user, parser };
        terminal.set_size(columns, rows);
        terminal
    }

    /// Starts a command that this is the terminal of. What it prints on its standard error is kept.
    pub fn start(&self, command: &Command) -> Process {
        // The command leads a session of its own, whose terminal is its standard input.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.env("TERM", "xterm-256color");
        let side = || Stdio::from(self.user.try_clone().expect("a handle"));
        let process = Process::start_on(&mut session, side(), side());
        self.read();
        process
    }

    /// Takes in what is printed, on a thread of its own, until this is dropped.
    fn read(&self) {
        let controller = Arc::downgrade(&self.controller);
        let parser = Arc::clone(&self.parser);
        std::thread::spawn(move || {
            let mut bytes = vec![0; READ_BYTES];
            while let Some(controller) = controller.upgrade() {
                match (&*controller).read(&mut bytes) {
                    Ok(count) => parser.lock().process(&bytes[..count]),
                    Err(_nothing) => {
                        drop(controller);
                        std::thread::sleep(POLL);
                    }
                }
            }
        });
    }

    /// Gives it another size, as a window that is dragged.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().set_size(of(rows), of(columns));
        self.set_size(columns, rows);
    }

    fn set_size(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.user, size).expect("a size");
    }

    /// Types keys, as the bytes that a terminal sends.
    pub fn press(&self, keys: &str) {
        (&*self.controller).write_all(keys.as_bytes()).expect("it is read");
    }

    /// The lines that are seen, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let parser = self.parser.lock();
        let columns = parser.screen().size().1.get();
        parser.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).collect()
    }

    /// Whether it is as a shell leaves it: its main screen, the cursor, lines that are edited and
    /// keys that are echoed.
    pub fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.user).expect("its modes").local_modes;
        let parser = self.parser.lock();
        !parser.screen().alternate_screen()
            && !parser.screen().hide_cursor()
            && modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

fn of(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).expect("some size")
}
