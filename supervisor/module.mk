# ferrited, and the code every program shares.

$(eval $(call library,common,supervisor/err.c supervisor/util.c supervisor/str.c supervisor/log.c supervisor/ipc.c \
	supervisor/server.c supervisor/loop.c))

$(eval $(call unit_test,test_str,tests/unit/supervisor/test_str.c,common))
