//! A program that talks through pipes until it is killed or ends; it may be played by another one that holds its disk.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A program, and who plays it.
pub(super) struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
    /// The program's own id where the child only plays it.
    played: Option<Pid>,
}

impl Program {
    /// Starts a program; where another one plays it, that tells its id.
    pub(super) fn start(command: &mut Command, is_played: bool) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, said, played: None };
        if is_played {
            let line = program.line();
            let Some(pid) = line.strip_prefix("pid ") else {
                panic!(
                    "{line:?}: what runlog does on a full disk cannot be tested here; run the tests as root, or allow user \
                     namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)"
                )
            };
            program.played = Pid::from_raw(pid.parse().unwrap());
        }
        program
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets it go on.
    pub(super) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    }

    /// The id of the child, who may only play it.
    pub(super) fn player(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn lives(&mut self) -> bool {
        match self.played {
            Some(pid) => test_kill_process(pid).is_ok(),
            None => self.child.try_wait().unwrap().is_none(),
        }
    }

    pub(super) fn kill(&mut self) {
        let Some(pid) = self.played else {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            return;
        };
        kill_process(pid, Signal::KILL).unwrap();
        while self.lives() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Lets it come to its end, which must be a good one.
    pub(super) fn end(&mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Who holds a disk ends with its input.
        drop(self.child.stdin.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
