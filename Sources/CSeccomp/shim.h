// libseccomp: lists of system calls that a process may make.
#pragma once
#include <seccomp.h>

// Macros that Swift does not import.
static inline uint32_t seccomp_allow(void) { return SCMP_ACT_ALLOW; }
static inline uint32_t seccomp_answer(uint16_t error_number) { return SCMP_ACT_ERRNO(error_number); }
