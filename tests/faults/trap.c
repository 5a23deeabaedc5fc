/*
** Catches system calls of its own process, whoever makes them.
**
** Promise: each call of a given number goes to a function of ours, with its arguments, and what that returns is the
** call's result. It makes no difference whether the C library made the call, under which of its names, or code that
** does without the C library, as Rust's rustix does for renames. So preloading functions of the same names would
** not do.
**
** How: a seccomp filter answers such calls with SIGSYS; the handler finds number and arguments in the registers, and
** puts the result there. Its own calls are let through because they come from one known instruction. The filter is for
** all threads, stays for the life of the process and goes on to its children.
**
** Linux on x86-64 with glibc only.
*/
#define _GNU_SOURCE

#include "trap.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of a system call are known here for x86-64 only"
#endif

/* rdi: number, rsi to r9: five arguments, the stack: the sixth. */
__asm__(".text\n"
        ".globl trap_real\n"
        ".type trap_real, @function\n"
        "trap_real:\n"
        "  mov %rdi, %rax\n"
        "  mov %rsi, %rdi\n"
        "  mov %rdx, %rsi\n"
        "  mov %rcx, %rdx\n"
        "  mov %r8, %r10\n"
        "  mov %r9, %r8\n"
        "  mov 8(%rsp), %r9\n"
        "  syscall\n"
        ".globl trap_real_end\n"
        ".hidden trap_real_end\n"
        "trap_real_end:\n"
        "  ret\n"
        ".size trap_real, .-trap_real\n");

extern const char trap_real_end[];

#define MOST_CALLS 128

static long (*handler)(int number, const long *arguments);

static void caught(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long arguments[6];
    (void)signal_number;
    arguments[0] = registers[REG_RDI];
    arguments[1] = registers[REG_RSI];
    arguments[2] = registers[REG_RDX];
    arguments[3] = registers[REG_R10];
    arguments[4] = registers[REG_R8];
    arguments[5] = registers[REG_R9];
    registers[REG_RAX] = handler(info->si_syscall, arguments);
}

/* The part of a program that loads a word and lets the call through unless it is the expected one. */
static struct sock_filter load(size_t offset)
{
    struct sock_filter step = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
    return step;
}

static struct sock_filter jump(uint32_t value, size_t if_equal, size_t otherwise)
{
    struct sock_filter step = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, (uint8_t)if_equal, (uint8_t)otherwise);
    return step;
}

static struct sock_filter answer(uint32_t value)
{
    struct sock_filter step = BPF_STMT(BPF_RET | BPF_K, value);
    return step;
}

int trap_calls(const int *numbers, size_t count, long (*handle)(int number, const long *arguments))
{
    struct sock_filter program[MOST_CALLS + 16];
    struct sock_fprog filter;
    struct sigaction action;
    uint64_t own = (uint64_t)(uintptr_t)trap_real_end;
    size_t at = 0, place;
    if (count > MOST_CALLS) {
        errno = E2BIG;
        return -1;
    }
    handler = handle;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = caught;
    action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGSYS, &action, NULL) != 0)
        return -1;
    program[at++] = load(offsetof(struct seccomp_data, arch));
    program[at++] = jump(AUDIT_ARCH_X86_64, 1, 0);
    program[at++] = answer(SECCOMP_RET_ALLOW);
    /* Words of a 64-bit number, the lower one first. */
    program[at++] = load(offsetof(struct seccomp_data, instruction_pointer));
    program[at++] = jump((uint32_t)own, 0, 3);
    program[at++] = load(offsetof(struct seccomp_data, instruction_pointer) + 4);
    program[at++] = jump((uint32_t)(own >> 32), 0, 1);
    program[at++] = answer(SECCOMP_RET_ALLOW);
    program[at++] = load(offsetof(struct seccomp_data, nr));
    for (place = 0; place < count; place++)
        program[at++] = jump((uint32_t)numbers[place], count - place, 0);
    program[at++] = answer(SECCOMP_RET_ALLOW);
    program[at++] = answer(SECCOMP_RET_TRAP);
    filter.len = (unsigned short)at;
    filter.filter = program;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}
