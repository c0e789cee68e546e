/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/terminal.h"

#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct termios found, raw;
    int fd;
    volatile sig_atomic_t changed;
} terminal;

/* A background process that sets the modes of its controlling terminal is stopped by SIGTTOU. */
static bool is_background(int fd)
{
    pid_t foreground = tcgetpgrp(fd);

    return foreground >= 0 && foreground != getpgrp();
}

void terminal_set_raw(int fd, bool signals)
{
    if (!isatty(fd) || is_background(fd)) {
        return;
    }
    if (!terminal.changed) {
        if (tcgetattr(fd, &terminal.found) < 0) {
            return;
        }
        terminal.fd = fd;
    }
    terminal.raw = terminal.found;
    terminal.raw.c_iflag &=
        ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    terminal.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    terminal.raw.c_cc[VMIN] = 1;
    terminal.raw.c_cc[VTIME] = 0;
    terminal.changed = 1;
    tcsetattr(fd, TCSANOW, &terminal.raw);
}

void terminal_restore(void)
{
    if (terminal.changed) {
        terminal.changed = 0;
        if (!is_background(terminal.fd)) {
            tcsetattr(terminal.fd, TCSANOW, &terminal.found);
        }
    }
}

void terminal_resume(void)
{
    if (terminal.changed && !is_background(terminal.fd)) {
        tcsetattr(terminal.fd, TCSANOW, &terminal.raw);
    }
}

static void restore_and_die(int signal_number)
{
    terminal_restore();
    raise(signal_number); /* SA_RESETHAND: this time it kills */
}

void terminal_catch_fatal_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
    struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = (int)SA_RESETHAND};
    struct sigaction old;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        /* A sanitizer's handler prints more than the terminal is worth: leave those alone. */
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
            sigaction(fatal[i], &action, NULL);
        }
    }
}
