/*
 * session.h
 *		The member that a transaction acts for (rule E4).
 */
#ifndef KBILLING_SESSION_H
#define KBILLING_SESSION_H

#include "postgres.h"

/* Set by kb_act_as; gone with the transaction, or with a savepoint that is rolled back to. */
typedef struct Actor
{
	int64		account_id;
	char	   *member;
	uint64		number;			/* of the call: another one each time */
	SubTransactionId subxact;	/* that named it */
	struct Actor *previous;		/* the one that comes back if that is rolled back */
} Actor;

/* NULL if there is none. */
extern const Actor *session_actor(void);

/* For _PG_init */
extern void session_init(void);

#endif
