//! Where the cgroups of this process lie, in v1, v2 and both at once (the formats: `cgroups(7)`, `cgroup_namespaces(7)`,
//! `proc_pid_cgroup(5)`, `proc_pid_mountinfo(5)`).
//!
//! Invariant: a cgroup is this process's own or above it, and its directory is there; the root of a hierarchy is none,
//! since nothing limits it. What lies above a container's own mount cannot be seen and is not guessed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use runlog_core::Error;

use crate::probe::pseudo::{Pseudo, lines, words};
use crate::probe::{Machine, ProbeError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum Version {
    One,
    Two,
}

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Level {
    pub(in crate::probe) path: PathBuf,
    /// Below the hierarchy's mount point, the same in each hierarchy of v1.
    pub(in crate::probe) name: PathBuf,
}

impl Level {
    /// A file of the cgroup; `None` if the kernel has none of that name.
    pub(in crate::probe) fn open(&self, file: &str) -> Result<Option<Pseudo>, ProbeError> {
        match Pseudo::open(self.path.join(file)) {
            Ok(file) => Ok(Some(file)),
            Err(ProbeError::Absent(_)) => Ok(None),
            Err(failed) => Err(failed),
        }
    }
}

/// This process's cgroup in one hierarchy and those above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Chain {
    pub(in crate::probe) version: Version,
    /// The own one first; without the root.
    pub(in crate::probe) levels: Vec<Level>,
    /// Whether the process sees no further up than some cgroup that is not the root, as in a container.
    pub(in crate::probe) walled: bool,
}

/// The hierarchies in which this process is.
#[derive(Debug)]
pub(in crate::probe) struct Cgroups {
    own: Vec<Own>,
    mounts: Vec<Mount>,
}

/// A line of `/proc/self/cgroup`.
#[derive(Debug, PartialEq, Eq)]
struct Own {
    version: Version,
    controllers: Vec<u8>,
    path: Vec<u8>,
}

/// A line of `/proc/self/mountinfo` that mounts a hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The cgroup that is mounted.
    root: Vec<u8>,
    point: PathBuf,
    controllers: Vec<u8>,
}

impl Cgroups {
    /// Reads which they are; a system without cgroups has none.
    pub(in crate::probe) fn find(machine: &Machine) -> Result<Self, ProbeError> {
        let read = |file: &str| {
            let path = machine.proc.join("self").join(file);
            match fs::read(&path) {
                Ok(content) => Ok(content),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(cause) => Err(ProbeError::from(Error::io("read where cgroups are", &path, cause))),
            }
        };
        let own = lines(&read("cgroup")?).filter_map(Own::parse).collect();
        let mut mounts: Vec<_> = lines(&read("mountinfo")?).filter_map(Mount::parse).collect();
        for mount in &mut mounts {
            if let Ok(below) = mount.point.strip_prefix("/sys") {
                mount.point = machine.sys.join(below);
            }
        }
        Ok(Self { own, mounts })
    }

    /// The cgroups that `controller` governs: those of its own hierarchy in v1, else those of v2.
    pub(in crate::probe) fn chain(&self, controller: &str) -> Option<Chain> {
        let names =
            |controllers: &[u8]| controllers.split(|byte| *byte == b',').any(|n| n == controller.as_bytes());
        match self.own.iter().find(|own| own.version == Version::One && names(&own.controllers)) {
            Some(own) => self.locate(own, |mount| names(&mount.controllers)),
            None => self.unified(),
        }
    }

    /// The cgroups of v2.
    pub(in crate::probe) fn unified(&self) -> Option<Chain> {
        let own = self.own.iter().find(|own| own.version == Version::Two)?;
        self.locate(own, |_| true)
    }

    /// Whether some cgroup has `word` in its path.
    pub(in crate::probe) fn path_contains(&self, word: &str) -> bool {
        let has = |path: &[u8]| path.windows(word.len()).any(|part| part == word.as_bytes());
        self.own.iter().any(|own| has(&own.path)) || self.mounts.iter().any(|mount| has(&mount.root))
    }

    fn locate(&self, own: &Own, is_it: impl Fn(&Mount) -> bool) -> Option<Chain> {
        let mounts = self.mounts.iter().filter(|mount| mount.version == own.version && is_it(mount));
        mounts.into_iter().find_map(|mount| {
            let name = Path::new(OsStr::from_bytes(below(&own.path, &mount.root)?));
            let walled = !is_root(own.version, &mount.point);
            let levels: Vec<_> = name
                .ancestors()
                .map(|name| Level { path: mount.point.join(name), name: name.to_owned() })
                .filter(|level| level.path.is_dir() && (walled || level.name != Path::new("")))
                .collect();
            // A name that is not there belongs to another mount, or its cgroup is gone.
            let found = levels.first().map_or(!walled && name == Path::new(""), |own| own.name == name);
            found.then_some(Chain { version: own.version, levels, walled })
        })
    }
}

/// Only the root of a hierarchy lacks what every other cgroup has in v2, and has what no other one has in v1.
fn is_root(version: Version, path: &Path) -> bool {
    match version {
        Version::One => path.join("release_agent").exists(),
        Version::Two => !path.join("cgroup.events").exists(),
    }
}

/// What `path` is called from `root` on, without the first `/`; `None` if it does not lie there.
fn below<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    // A namespace writes what lies outside of it with `..`, which only another such path can be compared with.
    let root = if root == b"/" { b"".as_slice() } else { root };
    let rest = path.strip_prefix(root)?;
    match rest {
        [] => Some(rest),
        [b'/', rest @ ..] if rest != b".." && !rest.starts_with(b"../") => Some(rest),
        _ => None,
    }
}

impl Own {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (hierarchy, controllers) {
            (b"0", b"") => Version::Two,
            _ => Version::One,
        };
        path.starts_with(b"/").then(|| Self {
            version,
            controllers: controllers.to_vec(),
            path: path.to_vec(),
        })
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = words(line);
        let root = unescaped(fields.nth(3)?);
        let point = unescaped(fields.next()?);
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let version = match fields.next()? {
            b"cgroup" => Version::One,
            b"cgroup2" => Version::Two,
            _ => return None,
        };
        let controllers = fields.nth(1).unwrap_or_default().to_vec();
        Some(Self { version, root, point: PathBuf::from(OsStr::from_bytes(&point)), controllers })
    }
}

/// A path of `mountinfo`, in which white space and backslashes are written as `\` and three octal digits.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'\\').then(|| after.get(..3)).flatten();
        let escaped = escaped.and_then(|octal| u8::from_str_radix(str::from_utf8(octal).ok()?, 8).ok());
        match escaped {
            Some(byte) => (out.push(byte), rest = after.get(3..).unwrap_or_default()).1,
            None => (out.push(*first), rest = after).1,
        }
    }
    out
}

#[cfg(test)]
pub(in crate::probe) mod testing {
    //! Fixtures of machines with cgroups.

    use std::path::Path;

    use crate::probe::Machine;
    use crate::probe::testing::{empty, write};

    /// A machine whose process is in the cgroups `own` and that mounts `mounts`: the cgroup, the place, and the kind
    /// with its options (`cgroup2`, or `cgroup` and controllers).
    pub(in crate::probe) fn cgroups(dir: &Path, own: &str, mounts: &[(&str, &str, &str)]) -> Machine {
        let machine = empty(dir);
        write(&machine.proc.join("self/cgroup"), own);
        write(&machine.proc.join("self/task/1/status"), "Cpus_allowed:\tff\n");
        let mut lines = vec!["22 27 0:21 / /proc rw,relatime - proc proc rw\n".to_owned()];
        for (root, point, kind) in mounts {
            let (kind, options) = kind.split_once(' ').unwrap_or((kind, ""));
            lines
                .push(format!("30 23 0:26 {root} {point} rw,nosuid shared:4 - {kind} {kind} rw,{options}\n"));
        }
        write(&machine.proc.join("self/mountinfo"), &lines.concat());
        machine
    }

    /// Writes files of a cgroup of v2, as what it is: no root.
    pub(in crate::probe) fn group(machine: &Machine, path: &str, files: &[(&str, &str)]) {
        let path = machine.sys.join(path);
        write(&path.join("cgroup.events"), "populated 1\nfrozen 0\n");
        for (file, content) in files {
            write(&path.join(file), content);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{cgroups, group};
    use super::*;
    use crate::probe::testing::{empty, write};

    const V2: (&str, &str, &str) = ("/", "/sys/fs/cgroup", "cgroup2");

    fn names(chain: Option<&Chain>) -> Vec<&str> {
        chain.map_or(Vec::new(), |chain| {
            chain.levels.iter().map(|level| level.name.to_str().unwrap()).collect()
        })
    }

    #[test]
    fn the_own_cgroup_comes_first_then_those_above_it_without_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let machine = cgroups(dir.path(), "0::/user.slice/session 1.scope\n", &[V2]);
        group(&machine, "fs/cgroup/user.slice/session 1.scope", &[]);
        group(&machine, "fs/cgroup/user.slice", &[]);
        let chain = Cgroups::find(&machine).unwrap().chain("memory").unwrap();
        assert_eq!(names(Some(&chain)), ["user.slice/session 1.scope", "user.slice"]);
        assert_eq!((chain.version, chain.walled), (Version::Two, false));
        assert_eq!(chain.levels[1].path, machine.sys.join("fs/cgroup/user.slice"));
    }

    #[test]
    fn a_container_sees_its_own_cgroup_as_the_highest() {
        // In a namespace of its own, and by a bind mount in the machine's namespace.
        for (own, root) in [("0::/\n", "/"), ("0::/docker/4f\n", "/docker/4f")] {
            let dir = tempfile::tempdir().unwrap();
            let machine = cgroups(dir.path(), own, &[(root, "/sys/fs/cgroup", "cgroup2")]);
            group(&machine, "fs/cgroup", &[]);
            let chain = Cgroups::find(&machine).unwrap().unified().unwrap();
            assert_eq!(names(Some(&chain)), [""]);
            assert!(chain.walled);
            assert_eq!(chain.levels[0].path, machine.sys.join("fs/cgroup"));
        }
    }

    #[test]
    fn each_controller_of_v1_has_its_own_place() {
        let dir = tempfile::tempdir().unwrap();
        let own =
            "9:name=systemd:/\n4:memory:/docker/4f/a:b\n3:cpu,cpuacct:/docker/4f\n2:cpuset:/gone\n0::/\n";
        let mounts = [
            ("/docker/4f", "/sys/fs/cgroup/memory", "cgroup memory"),
            ("/docker/4f", "/sys/fs/cgroup/cpu,cpuacct", "cgroup cpu,cpuacct"),
            ("/docker/4f", "/sys/fs/cgroup/cpuset", "cgroup cpuset"),
        ];
        let machine = cgroups(dir.path(), own, &mounts);
        for path in ["memory/a:b", "cpu,cpuacct", "cpuset"] {
            write(&machine.sys.join("fs/cgroup").join(path).join("cgroup.procs"), "1\n");
        }
        let cgroups = Cgroups::find(&machine).unwrap();
        let of = |controller| cgroups.chain(controller);
        assert_eq!(names(of("memory").as_ref()), ["a:b", ""]);
        assert_eq!(names(of("cpu").as_ref()), [""]);
        assert_eq!(of("cpu").unwrap().levels, of("cpuacct").unwrap().levels);
        assert_eq!(of("cpuset"), None, "elsewhere than what is mounted");
        assert_eq!(of("io"), None, "v2 is not mounted");
    }

    #[test]
    fn the_root_is_no_cgroup_in_either_version() {
        let dir = tempfile::tempdir().unwrap();
        let mounts =
            [("/", "/sys/fs/cgroup/memory", "cgroup memory"), ("/", "/sys/fs/cgroup/unified", "cgroup2")];
        let machine = cgroups(dir.path(), "4:memory:/\n0::/\n", &mounts);
        write(&machine.sys.join("fs/cgroup/memory/release_agent"), "");
        write(&machine.sys.join("fs/cgroup/unified/cgroup.procs"), "");
        for controller in ["memory", "cpu"] {
            let chain = Cgroups::find(&machine).unwrap().chain(controller).unwrap();
            assert_eq!((names(Some(&chain)), chain.walled), (vec![], false), "{controller}");
        }
    }

    #[test]
    fn what_lies_outside_of_the_mount_is_not_guessed() {
        for (own, root, exists) in [
            ("0::/../other\n", "/", "fs/cgroup/other"),
            ("0::/\n", "/../..", "fs/cgroup"),
            ("0::/ab\n", "/a", "fs/cgroup/b"),
            ("0::/a (deleted)\n", "/", "fs/cgroup/a"),
            ("0::relative\n", "/", "fs/cgroup/relative"),
            ("0::/..\n", "/", "fs/cgroup"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let machine = cgroups(dir.path(), own, &[(root, "/sys/fs/cgroup", "cgroup2")]);
            group(&machine, exists, &[]);
            assert_eq!(Cgroups::find(&machine).unwrap().unified(), None, "{own}");
        }
        // One outside of the namespace, on a mount that begins outside too.
        assert_eq!(below(b"/../other", b"/.."), Some(&b"other"[..]));
    }

    #[test]
    fn the_mount_that_holds_the_cgroup_is_taken_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("some where");
        let escaped = elsewhere.to_str().unwrap().replace(' ', "\\040");
        let mounts = [("/other", "/sys/fs/cgroup", "cgroup2"), ("/", escaped.as_str(), "cgroup2")];
        let machine = cgroups(dir.path(), "0::/job\n", &mounts);
        write(&elsewhere.join("job/cgroup.events"), "");
        let chain = Cgroups::find(&machine).unwrap().unified().unwrap();
        assert_eq!(chain.levels[0].path, elsewhere.join("job"));
    }

    #[test]
    fn a_system_without_cgroups_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert_eq!(Cgroups::find(&machine).unwrap().chain("memory"), None);
    }

    #[test]
    fn this_machines_can_be_found() {
        let cgroups = Cgroups::find(&Machine::default()).unwrap();
        assert!(!cgroups.own.is_empty() && !cgroups.mounts.is_empty());
        for controller in ["memory", "cpu"] {
            for level in cgroups.chain(controller).map(|chain| chain.levels).unwrap_or_default() {
                assert!(level.path.join("cgroup.procs").exists(), "{level:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Own::parse(&bytes);
            let _parsed = Own::parse(&[b"0::/", &bytes[..]].concat());
            let _parsed = Mount::parse(&[b"1 2 0:1 / ", &bytes[..], b" rw - cgroup2 x rw"].concat());
        }

        #[test]
        fn a_path_that_was_escaped_is_whole_again(path in "[a-z \\t\\n\\\\]{0,20}") {
            let escape = |char: char| match char {
                'a'..='z' => char.to_string(),
                other => format!("\\{:03o}", u32::from(other)),
            };
            let escaped: String = path.chars().map(escape).collect();
            prop_assert_eq!(unescaped(escaped.as_bytes()), path.as_bytes());
        }
    }
}
