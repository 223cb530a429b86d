/*
 * access.h
 *		Stages of a debt (rules S1, S2, S4): values in, value out.
 */
#ifndef KBILLING_ACCESS_H
#define KBILLING_ACCESS_H

#include "postgres.h"
#include "fmgr.h"
#include "optional_date.h"

/* In the order of the SQL enum kb_stage. */
typedef enum Stage
{
	STAGE_OK,
	STAGE_GRACE,
	STAGE_REMIND,
	STAGE_RESTRICT,
	STAGE_BLOCKED
} Stage;

#define NUM_STAGES (STAGE_BLOCKED + 1)

/* In the order of the SQL enum kb_access. */
typedef enum Access
{
	ACCESS_FULL,
	ACCESS_FULL_WITH_REMINDER,
	ACCESS_PAYMENT_ONLY,
	ACCESS_DENIED
} Access;

/* In the order of the SQL enum kb_role. */
typedef enum Role
{
	ROLE_EMPLOYEE,
	ROLE_ADMIN,
	ROLE_OWNER
} Role;

/* The day of a debt on which each stage begins; columns of kbilling.policy. */
typedef struct StageDays
{
	int32		remind_day;
	int32		restrict_day;
	int32		block_day;
} StageDays;

extern Stage stage_of_debt(OptionalDate debt_since, DateADT today, const StageDays *days);
extern Stage stage_with_deferral(OptionalDate debt_since, OptionalDate deferred_until,
								 DateADT today, const StageDays *days);

/* The next day on which the stage differs from today's, if nothing is paid; none if it never does. */
extern OptionalDate stage_next_change(OptionalDate debt_since, OptionalDate deferred_until,
									  DateADT today, const StageDays *days);

extern const char *stage_label(Stage stage);

/* S3, X2: what a member with the role may do; kb_access_for is the same in SQL. */
extern Access access_for(Stage stage, Role role, bool is_deleted, bool is_ended);

/* Values of the SQL enums. */
extern Datum stage_value(Stage stage);
extern Datum access_value(Access access);
extern Role role_of_value(Datum value);

/* Three arguments with the policy's days, from the n-th on; false if one is NULL. */
extern bool stage_days_args(FunctionCallInfo fcinfo, int n, StageDays *days);

#endif
