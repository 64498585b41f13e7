// libseccomp: lists of system calls that a process may make.
#pragma once
#include <seccomp.h>
