// Linux calls that the Glibc module does not carry.
#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Declared here because glibc shows them only under _GNU_SOURCE, which breaks the Glibc module in debug builds.
extern int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict length, int flags);
