/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running cases on the processor. The child never calls the instruction: a signal handler puts the
 * case's state into its signal frame and returns, so that the kernel loads all of it, and the INT3
 * behind the instruction, or its fault, comes back to the handler with the state after. One signal
 * a case. Returning with the 32-bit code selector runs the case in compatibility mode.
 */
#include "native.h"

#include <asm/prctl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNAL_STACK_BYTES (256 * 1024)
#define TIMEOUT_SECONDS    20
/* In the legacy area of the signal frame's floating-point state: the kernel's extension. */
#define FRAME_MAGIC_OFFSET 464
#define FRAME_MAGIC        0x46505853u
#define XSTATE_BV_OFFSET   512
#define AVX_OFFSET         576
#define PAGE_FAULT_FETCH   0x10 /* bit of the error code */

/* The handler has no argument for it; this is a process of its own. */
static struct {
    struct native_case *cases;
    unsigned count, current;
    bool running, has_avx;
    uint8_t *code; /* writable alias of the code page */
} child;

static const int gregs_of[X86_REGISTER_COUNT] = {
    [X86_RAX] = REG_RAX, [X86_RCX] = REG_RCX, [X86_RDX] = REG_RDX, [X86_RBX] = REG_RBX,
    [X86_RSP] = REG_RSP, [X86_RBP] = REG_RBP, [X86_RSI] = REG_RSI, [X86_RDI] = REG_RDI,
    [X86_R8] = REG_R8,   [X86_R9] = REG_R9,   [X86_R10] = REG_R10, [X86_R11] = REG_R11,
    [X86_R12] = REG_R12, [X86_R13] = REG_R13, [X86_R14] = REG_R14, [X86_R15] = REG_R15,
};

static void frame_load(ucontext_t *frame, const struct native_case *c)
{
    greg_t *gregs = frame->uc_mcontext.gregs;
    struct _libc_fpstate *fpu = frame->uc_mcontext.fpregs;
    const struct native_state *s = &c->before;
    uint32_t magic;
    uint64_t xstate_bv;

    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        gregs[gregs_of[i]] = s->gpr[i];
    }
    gregs[REG_RIP] = s->rip;
    gregs[REG_EFL] = s->rflags;
    gregs[REG_CSGSFS] =
        (gregs[REG_CSGSFS] & ~INT64_C(0xffff)) | (c->code_64 ? CODE_SELECTOR_64 : CODE_SELECTOR_32);
    fpu->cwd = s->fpu_control;
    fpu->swd = s->fpu_status;
    fpu->ftw = s->fpu_valid;
    fpu->fop = 0;
    fpu->rip = fpu->rdp = 0;
    fpu->mxcsr = s->mxcsr;
    memset(fpu->_st, 0, sizeof(fpu->_st));
    for (unsigned i = 0; i < 8; i++) {
        memcpy(&fpu->_st[i], &s->st[i].mantissa, 8);
        fpu->_st[i].exponent = s->st[i].exponent;
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&fpu->_xmm[i], &s->ymm[i].xmm, 16);
    }
    memcpy(&magic, (uint8_t *)fpu + FRAME_MAGIC_OFFSET, sizeof(magic));
    if (magic == FRAME_MAGIC) { /* x87 and SSE state is there, not initial */
        memcpy(&xstate_bv, (uint8_t *)fpu + XSTATE_BV_OFFSET, sizeof(xstate_bv));
        xstate_bv |= 3;
        if (child.has_avx) {
            xstate_bv |= 4;
            for (unsigned i = 0; i < 16; i++) {
                memcpy((uint8_t *)fpu + AVX_OFFSET + 16 * i, &s->ymm[i].high, 16);
            }
        }
        memcpy((uint8_t *)fpu + XSTATE_BV_OFFSET, &xstate_bv, sizeof(xstate_bv));
    }
}

static void frame_save(const ucontext_t *frame, struct native_state *s)
{
    const greg_t *gregs = frame->uc_mcontext.gregs;
    const struct _libc_fpstate *fpu = frame->uc_mcontext.fpregs;

    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        s->gpr[i] = gregs[gregs_of[i]];
    }
    s->rip = gregs[REG_RIP];
    s->rflags = gregs[REG_EFL];
    s->fpu_control = fpu->cwd;
    s->fpu_status = fpu->swd;
    s->fpu_valid = fpu->ftw;
    s->mxcsr = fpu->mxcsr;
    for (unsigned i = 0; i < 8; i++) {
        memcpy(&s->st[i].mantissa, &fpu->_st[i], 8);
        s->st[i].exponent = fpu->_st[i].exponent;
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&s->ymm[i].xmm, &fpu->_xmm[i], 16);
        s->ymm[i].high = (union vector128){.u64 = {0, 0}};
    }
    uint64_t xstate_bv;
    memcpy(&xstate_bv, (const uint8_t *)fpu + XSTATE_BV_OFFSET, sizeof(xstate_bv));
    for (unsigned i = 0; child.has_avx && (xstate_bv & 4) && i < 16; i++) {
        memcpy(&s->ymm[i].high, (const uint8_t *)fpu + AVX_OFFSET + 16 * i, 16);
    }
}

/* The instruction ended if INT3 in the code page came, or the fetch at a jump's target failed. */
static void outcome_save(const ucontext_t *frame, struct native_outcome *out)
{
    unsigned trap = frame->uc_mcontext.gregs[REG_TRAPNO];
    unsigned error = frame->uc_mcontext.gregs[REG_ERR];

    frame_save(frame, &out->state);
    out->vector = trap;
    if (trap == EXCEPTION_BP) {
        out->completed = true;
        out->state.rip -= 1;
    } else if (trap == EXCEPTION_PF && (error & PAGE_FAULT_FETCH)) {
        out->completed = true;
    }
}

static void on_signal(int number, siginfo_t *info, void *opaque)
{
    ucontext_t *frame = opaque;
    struct native_case *c = &child.cases[child.current];

    if (child.running) {
        outcome_save(frame, &c->native);
        memcpy(c->native.memory, (void *)DATA_ADDRESS, NATIVE_PAGE);
        c->done = true;
        memset(child.code + CODE_ENTRY, INT3_OPCODE, sizeof(c->bytes));
        child.current++;
    }
    if (child.current == child.count) {
        _exit(0);
    }
    c = &child.cases[child.current];
    memcpy(child.code + CODE_ENTRY, c->bytes, c->length);
    memcpy((void *)DATA_ADDRESS, c->memory, NATIVE_PAGE);
    frame_load(frame, c);
    child.running = true;
}

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void map_code_and_data(void)
{
    int fd = memfd_create("native-code", 0);

    if (fd < 0 || ftruncate(fd, NATIVE_PAGE) < 0) {
        fail("memfd");
    }
    child.code = mmap(NULL, NATIVE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (child.code == MAP_FAILED ||
        mmap((void *)CODE_ADDRESS, NATIVE_PAGE, PROT_READ | PROT_EXEC,
             MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED ||
        mmap((void *)DATA_ADDRESS, NATIVE_PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
        fail("mmap");
    }
    memset(child.code, INT3_OPCODE, NATIVE_PAGE);
}

static _Noreturn void child_main(struct native_case *cases, unsigned count)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_size = SIGNAL_STACK_BYTES};

    map_code_and_data();
    stack.ss_sp =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) < 0) {
        fail("sigaltstack");
    }
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigdelset(&action.sa_mask, signals[i]);
        if (sigaction(signals[i], &action, NULL) < 0) {
            fail("sigaction");
        }
    }
    child.cases = cases;
    child.count = count;
    child.has_avx = __builtin_cpu_supports("avx");
    /* Compatibility mode uses DS, ES; the 64-bit code around does not. */
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(DATA_SELECTOR));
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE) < 0) {
        fail("arch_prctl");
    }
    __asm__ volatile("int3");
    _exit(2);
}

static bool wait_for(pid_t pid, int *status)
{
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poll_for = {.fd = pidfd, .events = POLLIN};
    bool in_time = pidfd < 0 || poll(&poll_for, 1, TIMEOUT_SECONDS * 1000) == 1;

    if (pidfd >= 0) {
        close(pidfd);
    }
    if (!in_time) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
    return in_time;
}

bool native_run(struct native_case *cases, unsigned count)
{
    int status;
    unsigned done = 0;

    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return false;
    }
    if (pid == 0) {
        child_main(cases, count);
    }
    bool in_time = wait_for(pid, &status);
    while (done < count && cases[done].done) {
        done++;
    }
    if (in_time && done == count && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    printf("the child %s (status %#x) at case %" G_GUINT64_FORMAT "\n",
           in_time ? "ended early" : "hangs", status,
           done < count ? cases[done].number : cases[count - 1].number);
    return false;
}

bool native_has_32(struct native_case *c)
{
    memset(c, 0, sizeof(*c));
    c->bytes[0] = 0x40; /* INC EAX there, a REX prefix in 64-bit mode */
    c->length = 1;
    c->before.rip = CODE_ADDRESS + CODE_ENTRY;
    c->before.rflags = FLAG_FIXED | FLAG_IF;
    c->before.fpu_control = 0x37f;
    c->before.mxcsr = 0x1f80;
    return native_run(c, 1) && c->native.completed && c->native.state.gpr[X86_RAX] == 1;
}
