// Files to packs and back: backup, restore, listing, comparison, checking and retention of snapshots.
//
// It runs the work on threads of its own, joined by bounded queues, within the byte budget that it is given. It knows
// nothing of homes, configuration, arguments or terminals, and it must never rely on what the ledger says without a
// check by cryptography or by the vault's commit.
