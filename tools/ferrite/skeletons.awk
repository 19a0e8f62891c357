# Turns the files below skeletons/ into rows of C: {"KIND", "FILE", "text"},
function end_file() {
	if (started)
		print "\t},"
}
FNR == 1 {
	end_file()
	started = 1
	n = split(FILENAME, parts, "/")
	printf "\t{\n\t\t\"%s\",\n\t\t\"%s\",\n", parts[n - 1], parts[n]
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	printf "\t\t\"%s\\n\"\n", $0
}
END {
	end_file()
}
