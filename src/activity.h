/*
 * activity.h
 *		What shows that an account is used (rules D1, D7).  The caller has connected
 *		to SPI.
 */
#ifndef KBILLING_ACTIVITY_H
#define KBILLING_ACTIVITY_H

#include "postgres.h"

/* What a member does. */
typedef enum Activity
{
	ACTIVITY_LOGIN,
	ACTIVITY_ACT				/* not noted where the policy counts logins alone */
} Activity;

/* Whether there is such a member; if so, what it does is noted where it has to be (D7). */
extern bool activity_note(int64 account_id, const char *member, Activity activity);

#endif
