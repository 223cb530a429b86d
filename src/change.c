/*
 * change.c
 *		The log of what is agreed: the number of a row, and who has made the change.
 */
#include "postgres.h"

#include "change.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A UUID of version 7 counts milliseconds since 1970, and 4096ths of one. */
#define TICKS_PER_MSEC	4096

/* Microseconds from 1970 to PostgreSQL's epoch */
#define USECS_BEFORE_EPOCH	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* The present in ticks; later than at the last call, whatever the clock does */
static uint64
next_tick(void)
{
	static uint64 last = 0;
	uint64		now = (uint64) (GetCurrentTimestamp() + USECS_BEFORE_EPOCH) * TICKS_PER_MSEC / 1000;

	last = Max(last + 1, now);
	return last;
}

/* kb_change_id(): time and version, then variant and chance */
PG_FUNCTION_INFO_V1(kb_change_id);
Datum
kb_change_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	uint64		tick = next_tick();
	uint64		time = pg_hton64((tick / TICKS_PER_MSEC) << 16 | 7 << 12 | (tick % TICKS_PER_MSEC));

	memcpy(id->data, &time, sizeof(time));
	if (!pg_strong_random(id->data + sizeof(time), UUID_LEN - sizeof(time)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
	PG_RETURN_UUID_P(id);
}

/* A function with SECURITY DEFINER changes the current user, not the outer one. */
const char *
calling_role(void)
{
	return GetUserNameFromId(GetOuterUserId(), false);
}

/* kb_calling_role() */
PG_FUNCTION_INFO_V1(kb_calling_role);
Datum
kb_calling_role(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(calling_role()));
}
