/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The testbed's hand inside a virtual machine: starts processes and carries their streams over one
 * port (a virtio-serial port in L1, a serial line in L2), so that nothing that the kernel prints on
 * its console can get between. usage: agent PORT
 *
 * Both directions speak in frames (struct frame, then its payload); ../harness/agent.py is the
 * other side. A channel is one stream; the other side chooses the numbers. SPAWN makes a process:
 * channel c is its standard input and output (error included), c+1... are connected sockets, its
 * descriptors 3 and up. Frames from here say when they were made, so times are measured in this
 * machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_PAYLOAD = 16384,
    MAX_CHANNELS = 256,
    MAX_ARGUMENTS = 256,
};

/* What a frame is, and its payload. */
enum kind {
    KIND_HELLO = 'H', /* from here, once: HELLO_TEXT */
    KIND_SPAWN = 'S', /* to here: number of sockets, then arguments, each ended by NUL */
    KIND_DATA = 'D',  /* both ways: bytes of the stream */
    KIND_EOF = 'E',   /* both ways: the stream's end */
    KIND_KILL = 'K',  /* to here: a signal's number, uint32_t, for the channel's process group */
    KIND_EXIT = 'X',  /* from here: the process's end: wait status, uint32_t */
};

#define HELLO_TEXT "duodm-testbed-agent-1"

/* Little-endian, as both sides are. */
struct frame {
    uint32_t length; /* of the payload, at most MAX_PAYLOAD */
    uint16_t channel;
    uint8_t kind;
    uint8_t zero;
    uint64_t time; /* CLOCK_MONOTONIC, ns; 0 towards here */
} __attribute__((packed));

struct channel {
    bool used;
    uint16_t number;
    pid_t pid;   /* of the process whose standard streams these are; 0: a socket, or it has ended */
    int input;   /* we read from it, or -1 */
    int output;  /* we write to it, or -1 */
    char *queue; /* what output did not take yet */
    size_t queued;
    bool end_queued; /* close output when the queue is empty */
};

struct agent {
    int port;
    struct channel channels[MAX_CHANNELS];
    char received[sizeof(struct frame) + MAX_PAYLOAD];
    size_t received_length;
};

static void fail(const char *what)
{
    fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void port_write(struct agent *agent, const void *data, size_t length)
{
    const char *from = data;
    while (length > 0) {
        ssize_t done = write(agent->port, from, length);
        if (done < 0 && errno != EINTR) {
            fail("the port");
        }
        if (done > 0) {
            from += done;
            length -= (size_t)done;
        }
    }
}

static void send_frame(struct agent *agent, uint16_t channel, enum kind kind, const void *data,
                       size_t length)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char bytes[sizeof(struct frame) + MAX_PAYLOAD];
    struct frame frame = {
        .length = (uint32_t)length,
        .channel = channel,
        .kind = (uint8_t)kind,
        .time = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec,
    };
    memcpy(bytes, &frame, sizeof(frame));
    if (length > 0) {
        memcpy(bytes + sizeof(frame), data, length);
    }
    port_write(agent, bytes, sizeof(frame) + length);
}

static struct channel *channel_find(struct agent *agent, uint16_t number)
{
    for (int i = 0; i < MAX_CHANNELS; i++) {
        if (agent->channels[i].used && agent->channels[i].number == number) {
            return &agent->channels[i];
        }
    }
    return NULL;
}

static struct channel *channel_add(struct agent *agent, uint16_t number, int input, int output)
{
    for (int i = 0; i < MAX_CHANNELS; i++) {
        struct channel *channel = &agent->channels[i];
        if (!channel->used) {
            *channel =
                (struct channel){.used = true, .number = number, .input = input, .output = output};
            fcntl(input, F_SETFL, fcntl(input, F_GETFL) | O_NONBLOCK);
            fcntl(output, F_SETFL, fcntl(output, F_GETFL) | O_NONBLOCK);
            return channel;
        }
    }
    errno = EMFILE;
    fail("too many channels");
    return NULL;
}

/* A socket is input and output at once; it is closed when both are done. */
static void channel_close_output(struct channel *channel)
{
    if (channel->output >= 0) {
        if (channel->output == channel->input) {
            shutdown(channel->output, SHUT_WR);
        } else {
            close(channel->output);
        }
    }
    channel->output = -1;
    channel->queued = 0;
    channel->end_queued = false;
}

static void channel_release_if_done(struct channel *channel)
{
    if (channel->used && channel->input < 0 && channel->output < 0 && channel->pid == 0) {
        free(channel->queue);
        *channel = (struct channel){.used = false};
    }
}

static void channel_input_ended(struct agent *agent, struct channel *channel)
{
    if (channel->output == channel->input) {
        channel->output = -1;
    }
    close(channel->input);
    channel->input = -1;
    send_frame(agent, channel->number, KIND_EOF, NULL, 0);
}

/* Forwards what is there to read, up to a limit per call; true if there may be more. */
static bool channel_forward(struct agent *agent, struct channel *channel)
{
    char data[MAX_PAYLOAD];
    ssize_t count = read(channel->input, data, sizeof(data));
    if (count > 0) {
        send_frame(agent, channel->number, KIND_DATA, data, (size_t)count);
        return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        channel_input_ended(agent, channel);
    }
    return false;
}

static void channel_flush(struct channel *channel)
{
    while (channel->queued > 0) {
        ssize_t done = write(channel->output, channel->queue, channel->queued);
        if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (done < 0) { /* nobody reads any more */
            channel_close_output(channel);
            return;
        }
        channel->queued -= (size_t)done;
        memmove(channel->queue, channel->queue + done, channel->queued);
    }
    if (channel->end_queued) {
        channel_close_output(channel);
    }
}

static void channel_queue(struct channel *channel, const char *data, size_t length)
{
    if (channel->output < 0) {
        return;
    }
    channel->queue = realloc(channel->queue, channel->queued + length);
    if (channel->queue == NULL) {
        fail("memory");
    }
    memcpy(channel->queue + channel->queued, data, length);
    channel->queued += length;
    channel_flush(channel);
}

/* In the child: descriptors 0, 1, 2 and 3.. are the given ones, all others closed; then the
 * program. */
static void become_program(int input, int output, const int *sockets, int socket_count,
                           char **arguments)
{
    /* First out of the way of the numbers that they shall have. */
    int moved[3 + MAX_CHANNELS];
    moved[0] = fcntl(input, F_DUPFD, 512);
    moved[1] = moved[2] = fcntl(output, F_DUPFD, 512);
    for (int i = 0; i < socket_count; i++) {
        moved[3 + i] = fcntl(sockets[i], F_DUPFD, 512);
    }
    for (int i = 0; i < 3 + socket_count; i++) {
        dup2(moved[i], i);
    }
    close_range(3 + (unsigned)socket_count, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    execvp(arguments[0], arguments);
    fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

static void spawn(struct agent *agent, uint16_t number, char *payload, size_t length)
{
    char *arguments[MAX_ARGUMENTS + 1] = {NULL};
    int count = 0;
    for (size_t at = 1; at < length && count < MAX_ARGUMENTS; at += strlen(payload + at) + 1) {
        arguments[count++] = payload + at;
    }
    int socket_count = (uint8_t)payload[0];
    int to_child[2], from_child[2], theirs[MAX_CHANNELS], ours[MAX_CHANNELS];
    if (count == 0 || pipe2(to_child, O_CLOEXEC) < 0 || pipe2(from_child, O_CLOEXEC) < 0) {
        fail("spawn");
    }
    for (int i = 0; i < socket_count; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
            fail("socketpair");
        }
        ours[i] = pair[0];
        theirs[i] = pair[1];
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_program(to_child[0], from_child[1], theirs, socket_count, arguments);
    }
    if (pid < 0) {
        fail("fork");
    }
    close(to_child[0]);
    close(from_child[1]);
    channel_add(agent, number, from_child[0], to_child[1])->pid = pid;
    send_frame(agent, number, KIND_SPAWN, NULL, 0);
    for (int i = 0; i < socket_count; i++) {
        close(theirs[i]);
        channel_add(agent, (uint16_t)(number + 1 + i), ours[i], ours[i]);
    }
}

static void handle(struct agent *agent, const struct frame *frame, char *payload)
{
    struct channel *channel = channel_find(agent, frame->channel);
    if (frame->kind == KIND_SPAWN && channel == NULL && frame->length > 1) {
        spawn(agent, frame->channel, payload, frame->length);
    } else if (channel == NULL) {
        return; /* it has ended meanwhile */
    } else if (frame->kind == KIND_DATA) {
        channel_queue(channel, payload, frame->length);
    } else if (frame->kind == KIND_EOF) {
        channel->end_queued = true;
        channel_flush(channel);
        channel_release_if_done(channel);
    } else if (frame->kind == KIND_KILL && frame->length == 4 && channel->pid > 0) {
        uint32_t number;
        memcpy(&number, payload, sizeof(number));
        kill(-channel->pid, (int)number);
    }
}

static void port_read(struct agent *agent)
{
    ssize_t count = read(agent->port, agent->received + agent->received_length,
                         sizeof(agent->received) - agent->received_length);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count <= 0) {
        fail("nobody at the port any more");
    }
    agent->received_length += (size_t)count;
    size_t at = 0;
    for (;;) {
        struct frame frame;
        if (agent->received_length - at < sizeof(frame)) {
            break;
        }
        memcpy(&frame, agent->received + at, sizeof(frame));
        if (frame.length > MAX_PAYLOAD) {
            errno = EPROTO;
            fail("a frame's length");
        }
        if (agent->received_length - at < sizeof(frame) + frame.length) {
            break;
        }
        /* An end for the last argument of a SPAWN, whatever came. */
        char payload[MAX_PAYLOAD + 1];
        memcpy(payload, agent->received + at + sizeof(frame), frame.length);
        payload[frame.length] = 0;
        handle(agent, &frame, payload);
        at += sizeof(frame) + frame.length;
    }
    agent->received_length -= at;
    memmove(agent->received, agent->received + at, agent->received_length);
}

static void reap(struct agent *agent)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_CHANNELS; i++) {
            struct channel *channel = &agent->channels[i];
            if (!channel->used || channel->pid != pid) {
                continue;
            }
            /* All that it has said comes before its end. */
            while (channel->input >= 0 && channel_forward(agent, channel)) {
            }
            channel->pid = 0;
            uint32_t value = (uint32_t)status;
            send_frame(agent, channel->number, KIND_EXIT, &value, sizeof(value));
            channel_close_output(channel);
            channel_release_if_done(channel);
        }
    }
}

static int open_port(const char *path)
{
    /* A virtio-serial port appears some time after its driver. */
    int watch = inotify_init1(IN_CLOEXEC);
    inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB);
    int port;
    while ((port = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        char events[4096];
        if (errno != ENOENT || read(watch, events, sizeof(events)) <= 0) {
            fail(path);
        }
    }
    close(watch);
    struct termios settings;
    if (tcgetattr(port, &settings) == 0) {
        cfmakeraw(&settings);
        cfsetspeed(&settings, B115200);
        tcsetattr(port, TCSANOW, &settings);
    }
    return port;
}

static int open_signals(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve(struct agent *agent, int signals)
{
    struct pollfd polls[2 + 2 * MAX_CHANNELS];
    for (;;) {
        struct channel *of[2 + 2 * MAX_CHANNELS] = {NULL};
        nfds_t count = 2;
        polls[0] = (struct pollfd){.fd = agent->port, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = signals, .events = POLLIN};
        for (int i = 0; i < MAX_CHANNELS; i++) {
            struct channel *channel = &agent->channels[i];
            if (channel->used && channel->input >= 0) {
                of[count] = channel;
                polls[count++] = (struct pollfd){.fd = channel->input, .events = POLLIN};
            }
            if (channel->used && channel->output >= 0 && channel->queued > 0) {
                of[count] = channel;
                polls[count++] = (struct pollfd){.fd = channel->output, .events = POLLOUT};
            }
        }
        if (poll(polls, count, -1) < 0 && errno != EINTR) {
            fail("poll");
        }
        for (nfds_t i = 2; i < count; i++) {
            struct channel *channel = of[i];
            if (polls[i].events == POLLIN && polls[i].revents != 0 &&
                channel->input == polls[i].fd) {
                channel_forward(agent, channel);
            } else if (polls[i].revents != 0 && channel->output == polls[i].fd) {
                channel_flush(channel);
            }
            channel_release_if_done(channel);
        }
        if (polls[1].revents != 0) {
            struct signalfd_siginfo information;
            while (read(signals, &information, sizeof(information)) > 0) {
            }
            reap(agent);
        }
        if (polls[0].revents != 0) {
            port_read(agent);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: agent PORT\n");
        return 2;
    }
    struct agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL) {
        fail("memory");
    }
    agent->port = open_port(argv[1]);
    int signals = open_signals();
    send_frame(agent, 0, KIND_HELLO, HELLO_TEXT, sizeof(HELLO_TEXT) - 1);
    serve(agent, signals);
}
