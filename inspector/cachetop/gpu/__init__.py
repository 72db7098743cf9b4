"""The GPUs: NVML sampling, the processes on them, and which model each holds, with the evidence."""
