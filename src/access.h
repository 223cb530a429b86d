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

/* Three arguments with the policy's days, from the n-th on; false if one is NULL. */
extern bool stage_days_args(FunctionCallInfo fcinfo, int n, StageDays *days);

#endif
