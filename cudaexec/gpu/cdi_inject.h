/*
 * What the CDI devices of a wish bring into a container, as a list like that of injection_build(). The hooks of
 * NVIDIA's toolkit are carried out natively: links, folders of libraries, edited parameters, the application profile.
 * No program that a file names is run; a device with another hook is refused.
 */
#ifndef FERRITE_CUDAEXEC_GPU_CDI_INJECT_H
#define FERRITE_CUDAEXEC_GPU_CDI_INJECT_H

#include "cudaexec/gpu/cdi.h"
#include "cudaexec/gpu/injection.h"

/* The GPUs whose device nodes the selection brings, as a mask over the inventory. */
uint64_t cdi_mask(const struct cdi_selection *selection, const struct inventory *inventory);

/*
 * Makes the list. Sockets of daemons are left out, files are mounted read-only whatever the options say. -ENOENT: a
 * file or node is missing on this machine; -EPERM: a node is not the device that the file says; -EOPNOTSUPP: something
 * that ferrite does not do, such as other hooks; -EOVERFLOW, -ENOMEM. The caller ends with injection_done().
 */
int cdi_inject(const struct cdi_selection *selection, const struct injection_source *source,
	       struct injection *ret_injection, struct err *err);

#endif
