// Compares two trees: names, types, permissions, owners, modification times to the nanosecond, link targets and content.
//
//   treecompare A B           exit 0 and "equal: N entries", or exit 1 and the first differences
//
// The roots' own permissions and times are left out: a restore may make its target folder itself.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { block_bytes = 1 << 20, differences_shown = 20 };

static uint64_t entries, differences;
static char path[1 << 16];
static char *block_a, *block_b;

static void fail(const char *what) {
    fprintf(stderr, "treecompare: %s: %s: %s\n", path, what, strerror(errno));
    exit(2);
}

static void differ(const char *what) {
    if (differences++ < differences_shown) printf("differs: %s: %s\n", path, what);
}

struct names {
    char **list;
    size_t count;
};

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/// The sorted names of an open folder. The descriptor stays open.
static struct names list(int folder) {
    struct names names = {NULL, 0};
    size_t room = 0;
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) fail("open");
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (names.count == room) {
            room = room * 2 + 64;
            names.list = realloc(names.list, room * sizeof *names.list);
            if (!names.list) fail("memory");
        }
        if (!(names.list[names.count++] = strdup(entry->d_name))) fail("memory");
    }
    if (errno) fail("readdir");
    closedir(stream);
    qsort(names.list, names.count, sizeof *names.list, by_bytes);
    return names;
}

static size_t read_block(int file, char *block) {
    size_t length = 0;
    while (length < block_bytes) {
        ssize_t got = read(file, block + length, block_bytes - length);
        if (got < 0) fail("read");
        if (got == 0) break;
        length += (size_t)got;
    }
    return length;
}

static void compare_content(int a, int b, const char *name) {
    int file_a = openat(a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int file_b = openat(b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file_a < 0 || file_b < 0) fail("open");
    size_t length_a, length_b;
    do {
        length_a = read_block(file_a, block_a);
        length_b = read_block(file_b, block_b);
        if (length_a != length_b || memcmp(block_a, block_b, length_a)) {
            differ("content");
            break;
        }
    } while (length_a);
    close(file_a);
    close(file_b);
}

static void compare_folders(int a, int b);

static void compare_entry(int a, int b, const char *name) {
    struct stat of_a, of_b;
    if (fstatat(a, name, &of_a, AT_SYMLINK_NOFOLLOW) || fstatat(b, name, &of_b, AT_SYMLINK_NOFOLLOW)) fail("stat");
    entries++;
    if ((of_a.st_mode & S_IFMT) != (of_b.st_mode & S_IFMT)) {
        differ("type");
        return;
    }
    if (of_a.st_mode != of_b.st_mode) differ("permissions");
    if (of_a.st_uid != of_b.st_uid || of_a.st_gid != of_b.st_gid) differ("owner");
    if (of_a.st_mtim.tv_sec != of_b.st_mtim.tv_sec || of_a.st_mtim.tv_nsec != of_b.st_mtim.tv_nsec) differ("time");
    if (S_ISREG(of_a.st_mode)) {
        if (of_a.st_size != of_b.st_size) differ("size");
        else compare_content(a, b, name);
    } else if (S_ISLNK(of_a.st_mode)) {
        ssize_t length_a = readlinkat(a, name, block_a, block_bytes), length_b = readlinkat(b, name, block_b, block_bytes);
        if (length_a < 0 || length_b < 0) fail("readlink");
        if (length_a != length_b || memcmp(block_a, block_b, (size_t)length_a)) differ("link target");
    } else if (S_ISDIR(of_a.st_mode)) {
        int inner_a = openat(a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int inner_b = openat(b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner_a < 0 || inner_b < 0) fail("open");
        compare_folders(inner_a, inner_b);
        close(inner_a);
        close(inner_b);
    } else if (of_a.st_rdev != of_b.st_rdev) {
        differ("device");
    }
}

static void compare_folders(int a, int b) {
    struct names of_a = list(a), of_b = list(b);
    size_t i = 0, j = 0, parent = strlen(path);
    while (i < of_a.count || j < of_b.count) {
        int order = i == of_a.count ? 1 : j == of_b.count ? -1 : strcmp(of_a.list[i], of_b.list[j]);
        const char *name = order <= 0 ? of_a.list[i] : of_b.list[j];
        if (parent + strlen(name) + 2 > sizeof path) {
            errno = ENAMETOOLONG;
            fail(name);
        }
        sprintf(path + parent, "/%s", name);
        if (order < 0) differ("only in the first");
        else if (order > 0) differ("only in the second");
        else compare_entry(a, b, name);
        path[parent] = 0;
        if (order <= 0) free(of_a.list[i++]);
        if (order >= 0) free(of_b.list[j++]);
    }
    free(of_a.list);
    free(of_b.list);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: treecompare A B\n");
        return 2;
    }
    block_a = malloc(block_bytes);
    block_b = malloc(block_bytes);
    int a = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), b = open(arguments[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!block_a || !block_b || a < 0 || b < 0) fail("open");
    compare_folders(a, b);
    if (differences) {
        printf("%llu differences in %llu entries\n", (unsigned long long)differences, (unsigned long long)entries);
        return 1;
    }
    printf("equal: %llu entries\n", (unsigned long long)entries);
    return 0;
}
