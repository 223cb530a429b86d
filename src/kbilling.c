/*
 * kbilling.c
 *		The module: what is set up when the library is loaded.
 */
#include "postgres.h"

#include "clock.h"
#include "fmgr.h"
#include "journal.h"
#include "outbox.h"
#include "session.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* The settings, in alphabetical order, then what follows the transaction */
void
_PG_init(void)
{
	journal_init();
	clock_init();
	outbox_init();
	MarkGUCPrefixReserved("kbilling");

	session_init();
}
