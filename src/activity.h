/*
 * activity.h
 *		What shows that an account is used (rules D1, D7).
 */
#ifndef KBILLING_ACTIVITY_H
#define KBILLING_ACTIVITY_H

#include "postgres.h"
#include "access.h"

/* What a member does. */
typedef enum Activity
{
	ACTIVITY_LOGIN,
	ACTIVITY_ACT				/* not noted where the policy counts logins alone */
} Activity;

/*
 * Notes what a member with the role does, where it has to be noted (D7).  If so, it
 * may have been waited for, and the result is true: what was read before is old.
 */
extern bool activity_note(int64 account_id, Role role, Activity activity);

#endif
