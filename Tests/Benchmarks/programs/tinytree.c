// Makes a tree of tiny files, the same for the same number of files on every machine.
//
//   tinytree ROOT FILES       prints: files folders bytes
//
// Three levels of folders; the files stand in those of the third, 60 to 140 each, 100 on average. Names are words, numbers
// and endings such as people and programs give; content is 20 to 300 bytes of words in lines; modification times lie in
// the ten years before 2025, to the nanosecond.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const words[] = {
    "account",  "address", "annual",  "archive", "article", "backup",   "balance", "batch",   "budget",  "button",
    "cache",    "calendar", "camera", "chapter", "client",  "column",   "config",  "contact", "context", "counter",
    "customer", "daily",   "default", "delivery", "detail", "device",   "diary",   "document", "draft",  "element",
    "email",    "engine",  "error",   "event",   "example", "export",   "family",  "feature", "figure",  "filter",
    "folder",   "footer",  "garden",  "gateway", "graph",   "handler",  "header",  "helper",  "history", "holiday",
    "image",    "import",  "index",   "insurance", "invoice", "journal", "kitchen", "label",  "layout",  "ledger",
    "letter",   "library", "list",    "locale",  "login",   "manual",   "market",  "meeting", "memory",  "message",
    "minutes",  "model",   "module",  "monthly", "network", "note",     "notice",  "object",  "offer",   "office",
    "option",   "order",   "package", "page",    "parser",  "payment",  "photo",   "plan",    "policy",  "portrait",
    "preview",  "product", "profile", "project", "protocol", "query",   "quote",   "receipt", "recipe",  "record",
    "release",  "report",  "request", "response", "result", "review",   "route",   "sample",  "school",  "screen",
    "script",   "section", "server",  "service", "session", "setting",  "sketch",  "source",  "status",  "storage",
    "stream",   "summary", "summer",  "supplier", "table",  "target",   "template", "test",   "theme",   "ticket",
    "token",    "travel",  "tutorial", "update", "upload",  "user",     "value",   "vendor",  "version", "video",
    "view",     "weekly",  "window",  "winter",  "worker",  "wrapper",  "yearly",  "zone",
};
static const char *const endings[] = {
    ".txt", ".md", ".json", ".js", ".d.ts", ".py", ".html", ".css", ".xml", ".eml", ".yml", ".csv", ".h", ".c", ".log", "",
};
enum { words_count = sizeof words / sizeof *words, endings_count = sizeof endings / sizeof *endings };
enum { files_per_folder = 100, size_min = 20, size_max = 300 };
/// 2015-01-01, and ten years, in seconds.
enum { time_first = 1420070400, time_span = 315532800 };

static uint64_t state = 0x9e3779b97f4a7c15;
static uint64_t folders, bytes;

static void fail(const char *what) {
    fprintf(stderr, "tinytree: %s: %s\n", what, strerror(errno));
    exit(1);
}

/// splitmix64: public domain, Sebastiano Vigna.
static uint64_t draw(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t bound) { return draw() % bound; }
static const char *word(void) { return words[below(words_count)]; }

/// Makes a folder named by a word and its number among its siblings, opens it.
static int make_folder(int parent, uint64_t number) {
    char name[64];
    snprintf(name, sizeof name, "%s-%02llu", word(), (unsigned long long)number);
    if (mkdirat(parent, name, 0755)) fail(name);
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) fail(name);
    folders++;
    return folder;
}

/// A name no sibling has: its number stands in it.
static void make_name(char *name, size_t room, unsigned number) {
    const char *ending = endings[below(endings_count)];
    switch (below(4)) {
    case 0: snprintf(name, room, "%s_%u%s", word(), number, ending); break;
    case 1: snprintf(name, room, "%s-%s-%u%s", word(), word(), number, ending); break;
    case 2: snprintf(name, room, "%u_%s_%s%s", number, word(), word(), ending); break;
    default: {
        unsigned year = 2015 + (unsigned)below(10), month = 1 + (unsigned)below(12), day = 1 + (unsigned)below(28);
        snprintf(name, room, "%u-%02u-%02u %s %u%s", year, month, day, word(), number, ending);
    }
    }
}

static size_t make_content(char *content) {
    size_t wanted = size_min + below(size_max - size_min + 1), length = 0;
    while (length < wanted) {
        uint64_t kind = below(10);
        int got = kind == 0 ? snprintf(content + length, 32, "%llu", (unsigned long long)below(100000))
                            : snprintf(content + length, 32, "%s", word());
        length += (size_t)got;
        content[length++] = kind == 1 ? '\n' : ' ';
    }
    content[wanted - 1] = '\n';
    return wanted;
}

static void make_file(int folder, unsigned number) {
    char name[128], content[size_max + 64];
    make_name(name, sizeof name, number);
    size_t length = make_content(content);
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) fail(name);
    if (write(file, content, length) != (ssize_t)length) fail(name);
    struct timespec times[2];
    times[0].tv_sec = times[1].tv_sec = time_first + (time_t)below(time_span);
    times[0].tv_nsec = times[1].tv_nsec = (long)below(1000000000);
    if (futimens(file, times)) fail(name);
    close(file);
    bytes += length;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: tinytree ROOT FILES\n");
        return 2;
    }
    uint64_t files = strtoull(arguments[2], NULL, 10), made = 0;
    uint64_t leaves = (files + files_per_folder - 1) / files_per_folder, leaves_made = 0, fan = 1;
    while (fan * fan * fan < leaves) fan++;
    if (mkdir(arguments[1], 0755)) fail(arguments[1]);
    int root = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail(arguments[1]);

    for (uint64_t i = 0; i < fan && leaves_made < leaves; i++) {
        int upper = make_folder(root, i);
        for (uint64_t j = 0; j < fan && leaves_made < leaves; j++) {
            int middle = make_folder(upper, j);
            for (uint64_t k = 0; k < fan && leaves_made < leaves; k++) {
                int leaf = make_folder(middle, k);
                // Pairs of neighbours share 200 files, so that the total comes out whatever is drawn.
                static uint64_t second;
                uint64_t here = leaves_made % 2 ? second : 60 + below(81);
                second = 2 * files_per_folder - here;
                leaves_made++;
                if (leaves_made == leaves || here > files - made) here = files - made;
                for (uint64_t f = 0; f < here; f++) make_file(leaf, (unsigned)f);
                made += here;
                close(leaf);
            }
            close(middle);
        }
        close(upper);
    }
    printf("%llu %llu %llu\n", (unsigned long long)made, (unsigned long long)folders, (unsigned long long)bytes);
    return 0;
}
