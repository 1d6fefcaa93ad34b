import { type Db, type Document, ObjectId } from "mongodb";

/** What the task service writes, as it writes it: whole documents, a history row after each. */
export class TaskService {
  readonly group: string;
  readonly admin: string;
  /** A plain member. */
  readonly member: string;
  private readonly members: ObjectId[];

  private constructor(
    readonly db: Db,
    private readonly groupId: ObjectId,
    private readonly adminId: ObjectId,
  ) {
    this.group = groupId.toHexString();
    this.admin = adminId.toHexString();
    this.members = [new ObjectId(), new ObjectId()];
    this.member = String(this.members[0]);
  }

  static async create(db: Db): Promise<TaskService> {
    const service = new TaskService(db, new ObjectId(), new ObjectId());
    await service.addGroup(service.groupId, "Household");
    await db.createCollection("tasks");
    await db.createCollection("taskHistories");
    return service;
  }

  /** A group that the admin administers, or somebody else. */
  async addGroup(_id: ObjectId, name: string, admin = this.adminId) {
    const now = new Date();
    const member = (userId: ObjectId, role: string) => ({ userId, role, joinedAt: now, invitedBy: null });
    await this.db.collection("groups").insertOne({
      _id,
      name,
      createdBy: admin,
      members: [member(admin, "Admin"), ...this.members.map((userId) => member(userId, "RegularUser"))],
      taskCount: 0,
      lastActivity: now,
      createdAt: now,
      updatedAt: now,
      notifications: [],
    });
  }

  async createTask(name: string, requiresApproval = false): Promise<string> {
    const _id = new ObjectId();
    await this.db.collection("tasks").insertOne({
      _id,
      GroupId: this.groupId,
      TemplateId: null,
      AssignedUserId: this.members[0],
      Name: name,
      Description: null,
      Difficulty: 3,
      Status: 0,
      RequiresApproval: requiresApproval,
      DueAt: new Date(Date.now() + 86_400_000),
      Frequency: 0,
      CreatedAt: new Date(),
      CreatedByUserId: this.admin,
    });
    await this.history(_id, 0, { Name: name, Status: "Pending" });
    return _id.toHexString();
  }

  private async history(task: ObjectId, action: number, changes: Record<string, string>) {
    await this.db.collection("taskHistories").insertOne({
      TaskId: task,
      GroupId: this.groupId,
      ChangedByUserId: this.adminId,
      Action: action,
      ChangedAt: new Date(),
      Changes: changes,
      Notes: null,
    });
  }

  /** Replaces the task's document with these fields changed, as the service does. */
  async change(id: string, fields: Record<string, unknown>) {
    const tasks = this.db.collection("tasks");
    const task = await tasks.findOne({ _id: new ObjectId(id) });
    if (!task) throw new Error(`no task ${id}`);
    await tasks.replaceOne({ _id: task._id }, { ...task, ...fields });
    await this.history(task._id, "Status" in fields ? 2 : 1, {});
  }

  complete = (id: string) => this.change(id, { Status: 2 });

  /** So many more deliveries like the one that is there, each a second older than the one before. */
  async cloneDeliveries(count: number) {
    const deliveries = this.db.collection<Document & { _id: string }>("webhookDeliveries");
    const one = await deliveries.findOne();
    if (!one) throw new Error("there is no delivery yet");
    const begun = one.createdAt.getTime();
    const clones = Array.from({ length: count }, (_, number) => ({
      ...one,
      _id: `${one._id.slice(0, -6)}${String(number).padStart(6, "0")}`,
      createdAt: new Date(begun - (number + 1) * 1_000),
    }));
    await deliveries.insertMany(clones);
  }

  async drop() {
    await this.db.dropDatabase();
  }
}
