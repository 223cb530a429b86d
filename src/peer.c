/*
 * peer.c
 *		Asking another server.
 *
 * This goes through what PostgreSQL's own subscriptions connect with, so it needs what
 * they need, and no more: a line in that server's pg_hba.conf, and a role with
 * REPLICATION.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/tuptable.h"
#include "peer.h"
#include "replication/walreceiver.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#define MAX_COLUMNS		8

/* Connect; whoever calls disconnects */
static WalReceiverConn *
connect_to(const char *conninfo)
{
	WalReceiverConn *conn;
	char	   *error;

	load_file("libpqwalreceiver", false);
	conn = kb_walrcv_connect(conninfo, "kbilling", &error);
	if (conn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not connect to the other server"),
				 errdetail_internal("%s", error),
				 errhint("Check the connection string, and that server's pg_hba.conf. "
						 "The role must have REPLICATION, as for a subscription.")));
	return conn;
}

/* The rows of a result */
static List *
rows_of(WalRcvExecResult *result, int columns)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(result->tupledesc, &TTSOpsMinimalTuple);
	List	   *rows = NIL;

	while (tuplestore_gettupleslot(result->tuplestore, true, false, slot))
	{
		char	  **row = palloc0(sizeof(char *) * columns);

		slot_getallattrs(slot);
		for (int i = 0; i < columns; i++)
			if (!slot->tts_isnull[i])
				row[i] = TextDatumGetCString(slot->tts_values[i]);
		rows = lappend(rows, row);
		ExecClearTuple(slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	return rows;
}

/* Run a statement on a connection */
static List *
run(WalReceiverConn *conn, const char *sql, int columns)
{
	Oid			types[MAX_COLUMNS];
	WalRcvExecResult *result;
	List	   *rows;

	Assert(columns <= MAX_COLUMNS);
	for (int i = 0; i < columns; i++)
		types[i] = TEXTOID;
	result = walrcv_exec(conn, sql, columns, types);
	if (result->status != WALRCV_OK_TUPLES)
		ereport(ERROR,
				(errcode(result->sqlstate ? result->sqlstate : ERRCODE_CONNECTION_FAILURE),
				 errmsg("the other server could not do what it was asked"),
				 errdetail_internal("%s", result->err ? result->err : "It returned no rows."),
				 errhint("See to that there, and repeat the call.")));
	rows = rows_of(result, columns);
	walrcv_clear_result(result);
	return rows;
}

List *
peer_query(const char *conninfo, const char *sql, int columns)
{
	WalReceiverConn *conn = connect_to(conninfo);
	List	   *volatile rows = NIL;	/* set within PG_TRY */

	PG_TRY();
	{
		rows = run(conn, sql, columns);
	}
	PG_FINALLY();
	{
		walrcv_disconnect(conn);
	}
	PG_END_TRY();
	return rows;
}

char **
peer_query_row(const char *conninfo, const char *sql, int columns)
{
	List	   *rows = peer_query(conninfo, sql, columns);

	if (list_length(rows) != 1)
		elog(ERROR, "the other server returned %d rows", list_length(rows));
	return linitial(rows);
}
