//! A timer that is exact to some 50 µs. Those of the runtime count in milliseconds, which would be
//! most of a latency.

use std::io;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

/// The timer.
#[derive(Debug)]
pub(super) struct ExactTimer(Receiver);

impl ExactTimer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Unchecked: a timer is waited for and read like a pipe.
        Receiver::from_owned_fd_unchecked(timer).map(Self)
    }

    /// Waits.
    pub(super) async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would never end.
        let nanoseconds = i64::from(time.subsec_nanos()).max(1);
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: nanoseconds };
        let once = Itimerspec { it_interval: none, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        let mut expirations = [0; 8];
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut expirations) {
                Ok(_once) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_ends_behind_its_time_again_and_again() {
        let mut timer = ExactTimer::new().unwrap();
        for micros in [0, 300, 1500, 0] {
            let (time, began) = (Duration::from_micros(micros), Instant::now());
            timer.sleep(time).await.unwrap();
            assert!(began.elapsed() >= time, "{:?}", began.elapsed());
        }
    }
}
