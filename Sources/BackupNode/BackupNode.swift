// One node, composed: its home, keys, configuration, vault and archive behind one method a command.
//
// It decides what a command means (which snapshot `latest~2` is, what a retention policy keeps, where a value in force
// comes from) and turns results into JSON values. It never reads arguments, prints, exits, or knows what a terminal is,
// and it never touches packs or trees but through `Archive`.
