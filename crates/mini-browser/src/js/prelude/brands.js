// Whether a value is an object of an interface whose module may not be loaded: then it is none. A module
// puts its test here when it is loaded.

export const brands = {
  isBlob: () => false,
  isFormData: () => false,
  isReadableStream: () => false,
};
