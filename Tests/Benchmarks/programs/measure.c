// Runs one command and writes what it cost as one line of JSON.
//
//   measure [--cgroup DIRECTORY]... RESULT -- COMMAND [ARGUMENT]...
//
// A small program of its own, so that fork copies little: the kernel counts the memory of the process before exec in its
// peak, and a Python parent would put a floor of some 20 MiB under every figure.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void fail(const char *what) {
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    _exit(125);
}

/// A stop asked of this program is passed on to the command, which then ends as it likes.
static void pass_on(int signal_number) {
    if (child > 0) kill(child, signal_number);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/// Moves the calling process into a control group, before it becomes the command.
static void join(const char *directory) {
    char path[4096], pid[32];
    snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    int length = snprintf(pid, sizeof pid, "%d\n", getpid());
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, pid, (size_t)length) != length) fail(path);
    close(file);
}

int main(int count, char **arguments) {
    const char *groups[8];
    int groups_count = 0, next = 1;
    while (next + 1 < count && !strcmp(arguments[next], "--cgroup") && groups_count < 8) {
        groups[groups_count++] = arguments[next + 1];
        next += 2;
    }
    if (next + 2 >= count || strcmp(arguments[next + 1], "--")) {
        fprintf(stderr, "usage: measure [--cgroup DIRECTORY]... RESULT -- COMMAND [ARGUMENT]...\n");
        return 125;
    }
    const char *result = arguments[next];
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < groups_count; i++) join(groups[i]);
        execvp(arguments[next + 2], arguments + next + 2);
        fail(arguments[next + 2]);
    }
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR) fail("wait4");
    clock_gettime(CLOCK_MONOTONIC, &end);

    FILE *out = fopen(result, "w");
    if (!out) fail(result);
    double wall = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    fprintf(out,
            "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, \"peak_bytes\": %ld, \"read_bytes\": %ld, "
            "\"written_bytes\": %ld, \"exit\": %d, \"signal\": %d}\n",
            wall, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss * 1024L, usage.ru_inblock * 512L,
            usage.ru_oublock * 512L, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    if (fclose(out)) fail(result);
    return 0;
}
