# Makes C text from driver_types.txt and driver_api.txt (both are read, in this order). Plain POSIX awk.
#
#	-v make=api		cuda_api.h: our declarations of the driver API
#	-v make=members		the function pointers of struct cuda_driver
#	-v make=symbols		{"name", offset, since} for each of them
#	-v make=errors		{number, "name", "text"} for each CUresult
#	-v make=exports		version script of the software device
#	-v make=entries		{"base", since, twin, function}: the cuGetProcAddress table of the software device
#	-v make=twins		C source of the per-thread default stream variants
#	-v make=abi		list of facts about types and constants for the test against NVIDIA's header
#	-v make=signatures	assertions about the type of every entry point for the same test

function fail(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
	failed = 1
	exit 1
}

# Splits one argument into its direction, type and name, and sets "declaration".
function parse_argument(text, words, n, count, i)
{
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	n = split(text, words, /[ \t]+/)
	direction = words[1]
	argument = words[n]
	stars = ""
	while (substr(argument, 1, 1) == "*") {
		stars = stars "*"
		argument = substr(argument, 2)
	}
	type = ""
	for (i = 2; i < n; i++)
		type = type (i > 2 ? " " : "") words[i]
	if (type == "ptr")
		type = "void *"
	gap = (type ~ /\*$/) ? "" : " "
	if (direction == "in" || direction == "raw")
		declaration = type gap stars argument
	else if (direction == "out")
		declaration = type gap "*" argument
	else if (direction == "ref")
		declaration = "const " type " *" argument
	else if (direction == "str")
		declaration = "const char *" argument
	else if (direction == "outstr")
		declaration = "const char **" argument
	else if (direction ~ /^in\[/)
		declaration = (type == "void" ? "const " : "") type " *" argument
	else if (direction ~ /^out\[/)
		declaration = type " *" argument
	else
		fail("unknown direction '" direction "'")
	if (argument !~ /^[a-z][a-z0-9_]*$/)
		fail("bad argument name '" argument "'")
}

function parse_arguments(text, list, n, i)
{
	parameters = ""
	arguments = ""
	n = split(text, list, ",")
	for (i = 1; i <= n; i++) {
		parse_argument(list[i])
		parameters = parameters (i > 1 ? ", " : "") declaration
		if (argument == "stream" && direction == "in")
			argument = "stream ? stream : CU_STREAM_PER_THREAD"
		arguments = arguments (i > 1 ? ", " : "") argument
	}
	if (n == 0)
		parameters = "void"
}

function end_type()
{
	if (make == "api" && type_kind != "")
		printf "} %s;\n", type_name
	type_kind = ""
}

function begin_type(kind, name)
{
	end_type()
	type_kind = kind
	type_name = name
	if (make == "api")
		printf "\ntypedef %s {\n", kind
	if (make == "abi")
		printf "FACT(sizeof(%s))\n", name
}

function type_row(text, member)
{
	if ($1 == "enum" || $1 == "struct") {
		begin_type($1, $2)
	} else if ($1 == "callback") {
		end_type()
		text = $0
		sub(/^callback +[A-Za-z0-9]+ +/, "", text)
		sub(/ \(/, " (*" $2 ")(", text)
		if (make == "api")
			printf "typedef %s;\n", text
	} else if (type_kind == "enum") {
		if (make == "api")
			printf "\t%s = %s,\n", $1, $2
		if (make == "abi")
			printf "FACT(%s)\n", $1
		if (make == "errors" && type_name == "CUresult") {
			text = $0
			sub(/^[ \t]*[A-Z_0-9]+ +[0-9]+ +/, "", text)
			printf "{%s, \"%s\", \"%s\"},\n", $2, $1, text
		}
	} else if (type_kind == "struct") {
		text = $0
		sub(/^[ \t]+/, "", text)
		if (make == "api")
			printf "\t%s;\n", text
		member = $NF
		sub(/^\*+/, "", member)
		sub(/\[.*/, "", member)
		if (make == "abi" && member != "pad")
			printf "FACT(offsetof(%s, %s))\n", type_name, member
	} else {
		fail("'" $1 "' outside a type")
	}
}

function entry_row(name, since, twin, text, base, twin_since)
{
	name = $2
	since = $3
	twin = $4
	text = $0
	sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ */, "", text)
	if (name !~ /^cu[A-Z][A-Za-z0-9]*(_v[234])?$/ || since !~ /^[0-9]+$/ || twin !~ /^(-|ptds|ptsz)$/)
		fail("bad entry point row")
	if (name in seen)
		fail(name " appears twice")
	seen[name] = 1
	parse_arguments(text)
	base = name
	sub(/_v[234]$/, "", base)
	twin_since = since < 7000 ? 7000 : since
	if (make == "api" || make == "members") {
		if (make == "api") {
			printf "CUresult %s(%s);\n", name, parameters
			if (twin != "-")
				printf "CUresult %s_%s(%s);\n", name, twin, parameters
		} else {
			printf "CUresult (*%s)(%s);\n", name, parameters
		}
	} else if (make == "symbols") {
		printf "{\"%s\", offsetof(struct cuda_driver, %s), %d},\n", name, name, since
	} else if (make == "exports") {
		printf "\t%s;\n", name
		if (twin != "-")
			printf "\t%s_%s;\n", name, twin
	} else if (make == "entries") {
		printf "{\"%s\", %d, false, (void *)%s},\n", base, since, name
		if (twin != "-")
			printf "{\"%s\", %d, true, (void *)%s_%s},\n", base, twin_since, name, twin
	} else if (make == "twins" && twin != "-") {
		printf "\nCUresult %s_%s(%s)\n{\n\treturn %s(%s);\n}\n", name, twin, parameters, name, arguments
	} else if (make == "signatures") {
		printf "SIGNATURE(%s, CUresult (*)(%s))\n", name, parameters
		if (twin != "-")
			printf "SIGNATURE(%s_%s, CUresult (*)(%s))\n", name, twin, parameters
	}
}

BEGIN {
	if (make == "exports")
		print "{\nglobal:"
	else
		print "/* Made by driver_api.awk from driver_types.txt and driver_api.txt. */"
	if (make == "api") {
		print "#ifndef FERRITE_GEN_CUDA_API_H\n#define FERRITE_GEN_CUDA_API_H\n"
		print "#include \"cudaexec/cuda_base.h\""
	}
	if (make == "twins")
		print "#define CUDA_API_EXPORT\n#include \"cuda_api.h\""
}

FNR == 1 {
	file++
	if (file == 2) {
		end_type()
		if (make == "api")
			print "\n#ifdef CUDA_API_EXPORT\n#pragma GCC visibility push(default)\n#endif"
	}
}

/^[ \t]*(#|$)/ { next }

file == 1 { type_row() }
file == 2 { entry_row() }

END {
	if (failed)
		exit 1
	if (make == "api")
		print "#ifdef CUDA_API_EXPORT\n#pragma GCC visibility pop\n#endif\n\n#endif"
	if (make == "exports")
		print "local:\n\t*;\n};"
}
