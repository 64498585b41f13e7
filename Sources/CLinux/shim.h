// Linux calls that the Glibc module does not carry.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

// Declared here because glibc shows them only under _GNU_SOURCE, which breaks the Glibc module in debug builds.
// Of <fcntl.h>: a file that has no name until it is linked (O_TMPFILE, Linux 3.11).
static const int open_unnamed = 020000000 | O_DIRECTORY;

extern int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict length, int flags);
extern int pipe2(int descriptors[2], int flags);

// Of <spawn.h>, which glibc shows in part only under _GNU_SOURCE.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

// Columns of a terminal; 0 for what is none.
static inline int terminal_column_count(int descriptor) {
    struct winsize size = {0};
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// A program started with these attributes has a session of its own, no blocked signals, and the usual answer to each.
static inline void spawn_in_own_session(posix_spawnattr_t *attributes) {
    const short in_own_session = 0x80;  // POSIX_SPAWN_SETSID
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(attributes, &signals);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | in_own_session);
}

// Read here because whichever C module is loaded first claims the fields of this struct in Swift.
static inline int socket_address_family(const struct sockaddr *address) { return address->sa_family; }

// Brings a line into the cache; the address need not be valid.
static inline void prefetch_for_reading(const void *address) { __builtin_prefetch(address, 0, 3); }

// F_SETPIPE_SZ, of <fcntl.h> under _GNU_SOURCE.
static inline int set_pipe_size(int descriptor, int byte_count) { return fcntl(descriptor, 1031, byte_count); }

// A file in memory whose size nobody can change any more (memfd_create, Linux 3.17; its seals, of <fcntl.h> under _GNU_SOURCE):
// without that, another process that shrinks it would crash whoever reads it. -1: errno says why.
static inline int make_sealed_memory(long byte_count) {
    int file = (int)syscall(SYS_memfd_create, "peernode", 3u);  // MFD_CLOEXEC | MFD_ALLOW_SEALING
    if (file < 0) return -1;
    if (ftruncate(file, byte_count) == 0 && fcntl(file, 1033, 7) == 0) return file;  // F_ADD_SEALS: SEAL, SHRINK, GROW
    close(file);
    return -1;
}

// A descriptor that becomes readable when a process has ended; -1 before Linux 5.3.
static inline int open_process(pid_t process) { return (int)syscall(434, process, 0); }

// What a process can take from itself.

extern int unshare(int flags);
extern int setresuid(uid_t real, uid_t effective, uid_t saved);
extern int setresgid(gid_t real, gid_t effective, gid_t saved);

// O_PATH, of <fcntl.h> under _GNU_SOURCE.
static const int open_path_flag = 010000000;

// Of <linux/sched.h>.
static const int namespace_mount = 0x00020000;
static const int namespace_host_name = 0x04000000;
static const int namespace_ipc = 0x08000000;
static const int namespace_user = 0x10000000;
static const int namespace_process = 0x20000000;
static const int namespace_network = 0x40000000;

// The only caller has one thread, so the child may go on in Swift.
static inline pid_t fork_process(void) { return fork(); }

static inline int process_control(int option, unsigned long value) { return prctl(option, value, 0, 0, 0); }

static inline int close_descriptors(unsigned int from) { return (int)syscall(SYS_close_range, from, ~0U, 0); }

// Empties the three sets that capset sets.
static inline int drop_capabilities(void) {
    struct { uint32_t version; int process; } head = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } none[2] = {{0, 0, 0}, {0, 0, 0}};
    return (int)syscall(SYS_capset, &head, none);
}

// Sets a limit for good, or as low as it was already.
static inline int limit_resource(int resource, rlim_t value) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) return -1;
    if (limit.rlim_max > value) limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit);
}
static const int resource_addresses = RLIMIT_AS, resource_data = RLIMIT_DATA, resource_cpu = RLIMIT_CPU,
                 resource_core = RLIMIT_CORE, resource_file_size = RLIMIT_FSIZE, resource_descriptors = RLIMIT_NOFILE,
                 resource_threads = __RLIMIT_NPROC, resource_locked = __RLIMIT_MEMLOCK;

// Landlock, of <linux/landlock.h>, which may be older than the kernel.
struct landlock_rules { uint64_t files, network, scopes; };

static inline int landlock_version(void) { return (int)syscall(444, 0, 0, 1); }
static inline int landlock_make(const struct landlock_rules *rules, size_t byte_count) {
    return (int)syscall(444, rules, byte_count, 0);
}
static inline int landlock_allow(int ruleset, int parent, uint64_t access) {
    struct { uint64_t access; int32_t parent; } __attribute__((packed)) rule = {access, parent};
    return (int)syscall(445, ruleset, 1, &rule, 0);
}
static inline int landlock_restrict(int ruleset) { return (int)syscall(446, ruleset, 0); }

// Any system call by its number.
static inline long system_call(long number, long a, long b, long c, long d, long e, long f) {
    return syscall(number, a, b, c, d, e, f);
}
