extension Configuration {
    /// The commented `bakare.toml` that `init` writes, and `configs/bakare.toml` shows: every key, with its default.
    package static let template = """
        # bakare-node's configuration. Every key is here, with its default; remove the `#` before one to change it.
        # `bakare-node config check` tells what is wrong with this file, `bakare-node config show` what is in force.

        # The memory that the whole process may use, at least 64MiB.
        #memory = "256MiB"

        # The name that snapshots carry. Without it: the machine's own.
        #host = "laptop"

        [sources]
        # Several sets of files, each with snapshots of its own, stand under [[sources]], in double brackets, in place of [sources]; each
        # has a name of its own, and the keys below as it needs them.
        #name = "documents"

        # What `backup` backs up when it is given no paths. `~/` is the home folder of the user who runs it.
        #paths = ["/home", "/etc", "/root"]

        # What to leave out: gitignore patterns. One with a leading slash is an absolute path; others match at any depth.
        #exclude = ["/home/*/.cache", "node_modules/", "*.tmp", "!important.tmp"]

        # Files of such patterns, one a line.
        #exclude_files = ["/etc/bakare/exclude"]

        # Leave out files above this size.
        #exclude_larger_than = "10GB"

        # Of folders that hold a CACHEDIR.TAG, keep only the tag.
        #exclude_caches = false

        # Do not go down into other file systems that are mounted below the paths.
        #one_file_system = false

        # Put on every snapshot.
        #tags = []

        # On how many nodes besides this one each of their snapshots is to be, in place of what [peers] says.
        #replicas = 2

        # When `bakare-node start` backs them up: every so often, as in "30min", "4h" or "1d"; or "continuous": their folders are
        # watched, and what was saved is backed up about a second later. Without this and `at`, only the command `backup` does.
        #every = "1d"

        # And at these times of day. What was missed, because the machine slept or was off, is made up for.
        #at = ["12:30", "22:00"]

        # Whether `start` backs them up while the machine runs on its battery, and while its network connection is metered (which only
        # NetworkManager tells).
        #on_battery = true
        #on_metered = true

        # While the load of the last minute is higher, `start` waits.
        #max_load = 4

        # Programs, each with its arguments, to run before and after a backup, as to dump a database; what a watch notices is backed up
        # without them. When `before` fails, or takes too long, nothing is backed up. Each finds the set's name in BAKARE_SOURCE;
        # `after` finds BAKARE_RESULT (done, problems, failed) and BAKARE_SNAPSHOT.
        #before = ["/usr/local/bin/dump-database", "--all"]
        #after = []
        #hook_timeout = "10min"

        # What `forget` keeps of these, in place of what [retention] says.
        #keep_last = 0
        #keep_hourly = 0
        #keep_daily = 0
        #keep_weekly = 0
        #keep_monthly = 0
        #keep_yearly = 0
        #keep_within = "30d"
        #keep_tags = ["keep"]

        [retention]
        # What `forget` keeps when it is given no snapshots and no --keep: for each machine and set of paths, the last
        # snapshot of so many hours, days, weeks, months and years. With nothing set, all are kept.
        #keep_last = 0
        #keep_hourly = 0
        #keep_daily = 7
        #keep_weekly = 5
        #keep_monthly = 12
        #keep_yearly = 10

        # And all that are at most this much older than the newest: h, d, w, m (months), y.
        #keep_within = "30d"

        # And all with these tags; tags joined by commas must all be there.
        #keep_tags = ["keep"]

        [vault]
        # How long what a sweep removes waits in the trash.
        #trash_days = 7

        [publisher]
        # On a write-only device only: remember names, sizes and times of the last backup's files, so that unchanged files
        # need not be read again. Whoever takes over the device can read them there.
        #keep_memo = false

        [peers]
        # Where `bakare-node start` listens for other nodes: all addresses of this machine.
        #listen = "[::]:4747"

        # "publisher": back up, store nothing for others. "persister": store for others. "both". "auto": publish if there is
        # something to back up, persist if there is room.
        #role = "auto"

        # On how many nodes besides this one each snapshot is to be.
        #replicas = 2

        # What this node keeps of its own backups itself, once `replicas` peers have proven that they have it: "full", or a size as in
        # "20GiB" for the newest data; the rest is then with peers only. A node that does not keep all stores nothing for its owner's others.
        #local_copy = "full"

        # How much more a backup may store here before it waits for peers to take it, where `local_copy` is a size; at least 16MiB.
        #spool = "4GiB"

        # What is always kept free on the vault's disk, whatever other nodes may store here.
        #reserve = "1GiB"

        # Nodes to dial that this network's announcements (mDNS) do not show, as in ["nas.example:4747"].
        #addresses = []

        # Where other nodes reach this one from outside, for invitations: behind a router, its name and the forwarded port.
        #advertise = []

        # Announce this node on the local network, and find others there (needs avahi-daemon).
        #discovery = true

        """
}
