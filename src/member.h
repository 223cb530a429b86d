/*
 * member.h
 *		Members of an account: rows of kbilling.member.
 */
#ifndef KBILLING_MEMBER_H
#define KBILLING_MEMBER_H

#include "postgres.h"
#include "access.h"
#include "compat.h"

/* The member's role, as the active snapshot sees it; KB001 if there is no such account, KB004 if it has no such member. */
extern Role member_role(int64 account_id, const char *member);

/* Whether there is such a member, as the active snapshot sees it. */
extern bool member_exists(int64 account_id, const char *member);

/* The errors of member_role, by what is committed now. */
extern void member_require(int64 account_id, const char *member);

/* The same errors, for a member who has not been found. */
pg_noreturn extern void member_refuse(int64 account_id, const char *member);

/* T1: KB004, with the hint, unless the member is an owner or admin of the account.  The caller has connected to SPI. */
extern void member_require_payer(int64 account_id, const char *member, const char *hint);

#endif
