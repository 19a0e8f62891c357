static __device__ double normal(double x)
{
	double k = 1.0 / (1.0 + 0.2316419 * fabs(x));
	double tail = 0.3989422804014327 * exp(-0.5 * x * x) *
		      (k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)))));

	return x > 0.0 ? 1.0 - tail : tail;
}

extern "C" __global__ void black_scholes(const double *spot, const double *strike, const double *years, double *call,
					 double *put, double rate, double volatility, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	double root = volatility * sqrt(years[i]);
	double d1 = (log(spot[i] / strike[i]) + (rate + 0.5 * volatility * volatility) * years[i]) / root;
	double d2 = d1 - root;
	double discounted = strike[i] * exp(-rate * years[i]);

	call[i] = spot[i] * normal(d1) - discounted * normal(d2);
	put[i] = discounted * normal(-d2) - spot[i] * normal(-d1);
}
