// Linux calls that the Glibc module does not carry.
#pragma once
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Declared here because glibc shows them only under _GNU_SOURCE, which breaks the Glibc module in debug builds.
extern int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict length, int flags);
extern int pipe2(int descriptors[2], int flags);

// Of <spawn.h>, which glibc shows in part only under _GNU_SOURCE (the flag is POSIX_SPAWN_SETSID).
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
static const short spawn_setsid_flag = 0x80;

// Read here because whichever C module is loaded first claims the fields of this struct in Swift.
static inline int socket_address_family(const struct sockaddr *address) { return address->sa_family; }

// Brings a line into the cache; the address need not be valid.
static inline void prefetch_for_reading(const void *address) { __builtin_prefetch(address, 0, 3); }
