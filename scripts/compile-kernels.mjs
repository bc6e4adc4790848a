console.error("kernels: no source yet");
