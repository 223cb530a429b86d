# From README.md, the statements of its blocks that begin with ```sql, or with -v want=1 what the page says that they return: the
# lines after "-->".  In both, a line ";" comes before each statement, so that a result is compared with that of its own statement.
# The quickstart, which is the first block, has its output in the way of psql, and is left out here.
/^```/ { reading = /^```sql$/; blocks += reading; begins = 1; next }
reading && blocks > 1 && NF {
	if (sub(/^--> /, "")) {
		if (want)
			print
		next
	}
	if (begins)
		print want ? ";" : "\\echo ;"
	if (!want)
		print
	begins = /;( *--.*)?$/
}
