# From a page in Markdown, the statements of its blocks that begin with ```sql, or with -v want=1 what the page says that they
# return: the lines after "-->".  In both, a line ";" comes before each statement, so that a result is compared with that of its own
# statement.  README.md begins with the quickstart, which has its output in the way of psql, and is left out here.
FNR == 1 { skipped = FILENAME == "README.md" }
/^```/ { reading = /^```sql$/; blocks += reading; begins = 1; next }
reading && blocks > skipped && NF {
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
