/*
 * standing.h
 *		What a member may do now, and what comes next.
 */
#ifndef KBILLING_STANDING_H
#define KBILLING_STANDING_H

#include "postgres.h"
#include "access.h"
#include "fmgr.h"
#include "status.h"

/* The result of a function that returns a kb_access_decision. */
extern Datum standing_decide(FunctionCallInfo fcinfo, const AccountStatus *account, Role role);

#endif
