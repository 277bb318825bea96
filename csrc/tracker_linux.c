/*
 * A resource tracker waits here for the death of its process tree: in a constructor, before there is a Go runtime, in less
 * than a megabyte. Then the program goes on to package internal/tracker. How a tracker is started, and what it has to find
 * then, is in internal/tracker and shm/tracker_linux.go.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "layout.h"

#ifndef F_OFD_SETLKW
#define F_OFD_SETLKW 38
#endif

__attribute__((constructor(101))) static void wait_for_the_tree(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = TD_LOCK_MAPPED, .l_len = 1};
	const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	uint64_t over = 0;

	if (!getenv("TANDEM_TRACKS"))
		return;
	for (int i = 0; i < 4; i++)
		signal(ignored[i], SIG_IGN); /* all are blocked, but Go would unblock what is pending */
	prctl(PR_SET_NAME, "tandem-tracker");
	while (fcntl(TD_TREE_FILE, F_OFD_SETLKW, &l) == -1 && errno == EINTR)
		;
	if (pread(TD_TREE_FILE, &over, sizeof over, offsetof(struct td_tree, over)) == sizeof over && over)
		_exit(0);
}
