/*
 * wire.h
 *		Binary forms that are a version and the text, so that what a type's parser
 *		refuses is refused there too.
 */
#ifndef KBILLING_WIRE_H
#define KBILLING_WIRE_H

#include "postgres.h"
#include "fmgr.h"
#include "libpq/pqformat.h"

/* The text of a value of the type that was received; 22P03 if it is of another version. */
static inline char *
wire_receive(FunctionCallInfo fcinfo, int version, const char *type)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			sent = pq_getmsgbyte(buf);
	int			len;

	if (sent != version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unsupported version %d of the binary form of type %s", sent, type),
				 errhint("Send version %d, or text.", version)));
	return pq_getmsgtext(buf, buf->len - buf->cursor, &len);
}

/* What is sent for a value whose text it is. */
static inline bytea *
wire_send(int version, const char *text)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, version);
	pq_sendtext(&buf, text, strlen(text));
	return pq_endtypsend(&buf);
}

#endif
