// The least that finding out "nothing changed" can cost: getdents64 over every folder and statx of every entry, in
// one thread, in the order that the file system gives. With --read, the content is read too, as `dd` would.
//
//   walk [--read] ROOT        prints: files folders bytes
//
// The calls are made raw: no library's buffering, sorting or allocation per entry stands between.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { listing_bytes = 64 << 10, block_bytes = 4 << 20 };

struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static uint64_t files, folders, bytes;
static int reading;
static char *block;

static void fail(const char *what) {
    fprintf(stderr, "walk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_whole(int folder, const char *name) {
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) fail(name);
    ssize_t got;
    while ((got = read(file, block, block_bytes)) > 0) {}
    if (got < 0) fail(name);
    close(file);
}

/// Walks one open folder and closes it. Subfolders are remembered by name and walked after their parent's listing.
static void walk(int folder) {
    char *listing = malloc(listing_bytes), *names = NULL;
    size_t names_length = 0, names_room = 0;
    if (!listing) fail("memory");
    for (;;) {
        long got = syscall(SYS_getdents64, folder, listing, listing_bytes);
        if (got < 0) fail("getdents64");
        if (got == 0) break;
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(listing + at);
            at += entry->length;
            if (entry->name[0] == '.' && (!entry->name[1] || (entry->name[1] == '.' && !entry->name[2]))) continue;
            struct statx status;
            if (statx(folder, entry->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status))
                fail(entry->name);
            if (S_ISDIR(status.stx_mode)) {
                size_t length = strlen(entry->name) + 1;
                if (names_length + length > names_room) {
                    names_room = (names_room + length) * 2;
                    names = realloc(names, names_room);
                    if (!names) fail("memory");
                }
                memcpy(names + names_length, entry->name, length);
                names_length += length;
                folders++;
            } else {
                files++;
                bytes += status.stx_size;
                if (reading && S_ISREG(status.stx_mode)) read_whole(folder, entry->name);
            }
        }
    }
    free(listing);
    for (size_t at = 0; at < names_length; at += strlen(names + at) + 1) {
        int inner = openat(folder, names + at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) fail(names + at);
        walk(inner);
    }
    free(names);
    close(folder);
}

int main(int count, char **arguments) {
    reading = count == 3 && !strcmp(arguments[1], "--read");
    if (count != 2 + reading) {
        fprintf(stderr, "usage: walk [--read] ROOT\n");
        return 2;
    }
    if (reading && !(block = malloc(block_bytes))) fail("memory");
    int root = open(arguments[count - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail(arguments[count - 1]);
    walk(root);
    printf("%llu %llu %llu\n", (unsigned long long)files, (unsigned long long)folders, (unsigned long long)bytes);
    return 0;
}
