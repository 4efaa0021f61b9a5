export { JobPage } from "./JobPage";
export { VertexPage } from "./VertexPage";
