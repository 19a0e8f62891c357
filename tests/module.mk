# Tests that belong to no single folder; each folder's own tests are declared in its module.mk.
