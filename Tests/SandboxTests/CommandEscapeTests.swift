import CLinux
import Engines
import FunctionProtocol
import Glibc
import PeerTestKit
import Testing

/// Tries what a command must not be able to do, from a command that lies where a node's commands lie.
@Suite(
    "Escapes of commands",
    .enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs Python"),
    .enabled(if: landlock_version() > 0, "needs Landlock")
)
struct CommandEscapeTests {
    /// A node's home with a working folder in it, all of it open to everybody: modes are not what protects it.
    private let home: TemporaryFolder
    private let folder: String

    init() throws {
        home = try TemporaryFolder()
        folder = home.path + "/work/work-1"
        for path in [home.path + "/work", folder] {
            #expect(mkdir(path, 0o777) == 0)
            chmod(path, 0o777)
        }
        for name in ["identity.key", "policy.json"] {
            let file = open(home.path + "/" + name, O_CREAT | O_WRONLY | O_CLOEXEC, 0o666)
            #expect(write(file, "secret", 6) == 6)
            fchmod(file, 0o666)
            close(file)
        }
    }

    private func helper(
        _ command: String,
        limits: FunctionLimits = FunctionLimits(),
        isForeign: Bool = true,
        asAnotherUser: Bool = false
    ) throws -> Helper? {
        let built: String = try #require(BuiltHelper.path)
        var script: String?
        if asAnotherUser {
            script = try home.script(
                "#!/bin/sh\nexec /usr/bin/setpriv --reuid=61234 --regid=61234 --clear-groups '\(built)' \"$@\"\n"
            )
        }
        let helper = try Helper(
            .command,
            command,
            limits: limits,
            folder: folder,
            hiddenFolder: home.path,
            isForeign: isForeign,
            executable: script
        )
        // What the system lacks is not held against it here.
        return helper.readiness.missing.isEmpty ? helper : nil
    }

    private func lines(_ helper: Helper?) throws -> [String]? {
        try helper?.map(["x\n"])
        return helper?.pairs
    }

    /// A `name TAB error` line for each try; `allowed` where there is no error.
    private var tries: String {
        """
        import ctypes, errno, os, socket, sys

        libc = ctypes.CDLL(None, use_errno=True)

        def system(number, *arguments):
            if libc.syscall(number, *map(ctypes.c_long, arguments)) < 0:
                raise OSError(ctypes.get_errno(), "")

        def pair(kind):
            return lambda: socket.socketpair(socket.AF_UNIX, kind)

        def create(path):
            return lambda: open(path, "w")

        home = "\(home.path)"
        tries = {
            "read the key": lambda: open(home + "/identity.key"),
            "read the key by a relative path": lambda: open("../../identity.key"),
            "change the policy": lambda: open("../../policy.json", "w"),
            "make a file in the home": create(home + "/new"),
            "make a file beside the folder": create("../new"),
            "reach the home from the first process": lambda: open("/proc/1/root" + home + "/identity.key"),
            "make a device file": create("/dev/new"),
            "make a file in /etc": create("/etc/peersandbox-escape"),
            "read the machine's temporary files": lambda: os.stat(home + "/script"),
            "make a Unix socket": lambda: socket.socket(socket.AF_UNIX),
            "make a Unix socket by a number too long": lambda: system(\(SYS_socket), 1 << 32 | 1, 1, 0),
            "make a Unix socket for datagrams": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
            "make a pair for datagrams": pair(socket.SOCK_DGRAM),
            "make a raw pair": pair(socket.SOCK_RAW),
            "make a socket to the host of a virtual machine": lambda: system(\(SYS_socket), 40, 1, 0),
            "make a socket of the kernel's cipher": lambda: system(\(SYS_socket), 38, 5, 0),
            "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
            "use io_uring": lambda: system(425, 1, 0),
            "take a user namespace": lambda: system(\(SYS_unshare), 0x10000000),
            "take a mount namespace": lambda: system(\(SYS_unshare), 0x20000),
            "start in a user namespace": lambda: system(\(SYS_clone), 0x10000000 | 17, 0, 0, 0, 0),
            "start by clone3": lambda: system(435, 0, 0),
            "enter a namespace": lambda: system(\(SYS_setns), 0, 0),
            "mount": lambda: system(\(SYS_mount), 0, 0, 0, 0, 0),
            "unmount": lambda: system(\(SYS_umount2), 0, 2),
            "change root": lambda: os.chroot("/"),
            "pivot": lambda: system(\(SYS_pivot_root), 0, 0),
            "open a tree": lambda: system(428, -100, 0, 1),
            "open a file system": lambda: system(430, 0, 0),
            "load a program into the kernel": lambda: system(\(SYS_bpf), 0, 0, 0),
            "use the key ring": lambda: system(\(SYS_keyctl), 0, -3, 0),
            "add a key": lambda: system(\(SYS_add_key), 0, 0, 0, 0, 0),
            "ask for a key": lambda: system(\(SYS_request_key), 0, 0, 0, 0),
            "be traced": lambda: system(\(SYS_ptrace), 0, 0, 0, 0),
            "load a kernel": lambda: system(\(SYS_kexec_load), 0, 0, 0, 0),
            "count events": lambda: system(\(SYS_perf_event_open), 0, 0, 0, 0, 0),
            "load a module": lambda: system(\(SYS_init_module), 0, 0, 0),
            "read another's memory": lambda: system(\(SYS_process_vm_readv), 1, 0, 0, 0, 0, 0),
            "write another's memory": lambda: system(\(SYS_process_vm_writev), 1, 0, 0, 0, 0, 0),
            "take another's descriptor": lambda: system(438, 0, 0, 0),
            "handle page faults": lambda: system(\(SYS_userfaultfd), 1),
        }
        for name, attempt in tries.items():
            try:
                attempt()
                print(name, "allowed", sep="\\t")
            except OSError as error:
                print(name, errno.errorcode[error.errno], sep="\\t")

        """
    }

    private static let tryCount = 41
    /// Calls that are forbidden answer `EPERM`; files are not there, or not to be written.
    private static let refusals: Set<String> = ["EPERM", "ENOENT", "EACCES", "EROFS", "ENOSYS"]

    private func checkTries(isForeign: Bool, asAnotherUser: Bool) throws {
        let file = open(folder + "/tries.py", O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
        #expect(write(file, tries, tries.utf8.count) == tries.utf8.count)
        close(file)
        let helper = try helper("python3 tries.py", isForeign: isForeign, asAnotherUser: asAnotherUser)
        guard let lines = try lines(helper) else { return }
        #expect(lines.count == CommandEscapeTests.tryCount)
        for line in lines {
            let word = line.split(separator: "\t").last.map(String.init) ?? ""
            #expect(CommandEscapeTests.refusals.contains(word), "\(line)")
        }
    }

    @Test("Each is refused, to another node's commands and to the own user's", arguments: [true, false])
    func escapes(isForeign: Bool) throws { try checkTries(isForeign: isForeign, asAnotherUser: false) }

    @Test(
        "Each is refused to an ordinary user's process",
        .enabled(if: Privileges.canStartAsAnotherUser, "needs root and setpriv")
    )
    func escapesOfAnOrdinaryUser() throws { try checkTries(isForeign: true, asAnotherUser: true) }

    @Test(
        "Of the home a command sees the way to its folder only, where it reads and writes",
        arguments: [true, false]
    )
    func home(isForeign: Bool) throws {
        let listing = try lines(
            helper("cd ../..; ls; ls work; cd work/work-1; echo x >y; cat y", isForeign: isForeign)
        )
        #expect(listing == nil || listing == ["work", "work-1", "x"])
    }

    @Test("There are few devices, and what programs need of them works")
    func devices() throws {
        let names = try lines(
            helper("ls /dev; head -c 3 /dev/zero | wc -c; echo x >/dev/null; echo y >/dev/stdout")
        )
        let expected = [
            "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero", "3", "y",
        ]
        #expect(names == nil || names == expected)
    }

    @Test("Python's pools, temporary files and pairs of sockets work")
    func python() throws {
        let script = """
            import multiprocessing, socket, tempfile
            if __name__ == "__main__":
                with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, 2]))
                with tempfile.TemporaryFile() as file: print(file.write(b"ab"))
                a, b = socket.socketpair()
                a.send(b"through")
                print(b.recv(9).decode())

            """
        let file = open(folder + "/pool.py", O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
        #expect(write(file, script, script.utf8.count) == script.utf8.count)
        close(file)
        let output = try lines(helper("python3 pool.py"))
        #expect(output == nil || output == ["[1, 2]", "2", "through"])
    }

    /// Makes folders that only their owner can remove, and only after changing their modes, with a name that is no text.
    private static let leavings = """
        for folder in /tmp /var/tmp /dev/shm; do
          ls -A $folder | grep -v peersandbox-test
          mkdir -p $folder/d/e; touch $folder/d/e/f "$folder/$(printf '\\377')"; chmod 0 $folder/d/e $folder/d
        done; echo made
        """

    private func checkLeavings(asAnotherUser: Bool) throws {
        guard let helper = try helper(CommandEscapeTests.leavings, asAnotherUser: asAnotherUser) else {
            return
        }
        try helper.map(["x\n"])
        try helper.map(["x\n"])
        #expect(helper.pairs == ["made", "made"])
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] { #expect(access(folder + "/d", F_OK) != 0) }
    }

    @Test(
        "What a command leaves in folders for temporary files is seen by no other attempt, nor by the machine"
    )
    func leavings() throws { try checkLeavings(asAnotherUser: false) }

    @Test(
        "What an ordinary user's command leaves there is seen by no other attempt",
        .enabled(if: Privileges.canStartAsAnotherUser, "needs root and setpriv")
    )
    func leavingsOfAnOrdinaryUser() throws { try checkLeavings(asAnotherUser: true) }

    @Test("Temporary files count towards the limit on memory")
    func memory() throws {
        let limits = FunctionLimits(memoryByteCount: 64 << 20)
        let helper = try helper("head -c 80000000 /dev/zero >/dev/shm/x; sleep 1000", limits: limits)
        guard let helper else { return }
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure?.message == "the attempt passed its limit on memory, 64 MiB")
    }

    @Test("A folder for temporary files holds no more than its limit")
    func size() throws {
        let limits = FunctionLimits(memoryByteCount: 0)
        let helper = try helper(
            "head -c 300000000 /dev/zero 2>&1 >/tmp/x | grep -o 'No space'",
            limits: limits
        )
        let output = try lines(helper)
        #expect(output == nil || output == ["No space"])
    }
}
