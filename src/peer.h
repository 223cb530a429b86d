/*
 * peer.h
 *		Asking another server.
 */
#ifndef KBILLING_PEER_H
#define KBILLING_PEER_H

#include "postgres.h"
#include "nodes/pg_list.h"

/*
 * Runs one statement on the server that a connection string of libpq names, in a transaction of its own there.  The
 * rows of its result, each an array of strings, NULL for SQL NULL; there must be so many columns.  08006 if the server
 * cannot be reached; else its error, with the state that it has.
 */
extern List *peer_query(const char *conninfo, const char *sql, int columns);

/* The same for a statement that returns one row. */
extern char **peer_query_row(const char *conninfo, const char *sql, int columns);

#endif
